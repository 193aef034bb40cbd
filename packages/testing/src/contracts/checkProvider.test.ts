/** @file The check of providers: a right one passes, and each mistake is told. */

import { expect, it } from 'vitest';
import { OrtRuntime, type Session, type Feeds, float32 } from '@onnx-lora/sdk';
import type { ProviderFactory } from '@onnx-lora/sdk/plugin';
import { checkProvider } from './checkProvider.ts';

/** The CPU, with sessions that are changed. */
function factory(change: (own: Session) => Partial<Session> = () => ({})): ProviderFactory {
  return {
    name: 'mine',
    description: 'Mine.',
    create: () => ({
      createSession: async (source, options) => {
        const own = await new OrtRuntime().createSession(source, { ...options, provider: 'cpu' });
        return {
          inputNames: own.inputNames,
          outputNames: own.outputNames,
          provider: own.provider,
          run: (...given) => own.run(...given),
          release: () => own.release(),
          ...change(own),
        };
      },
    }),
  };
}

const fail = (): Promise<never> => Promise.reject(new Error('no device'));

it('one that is right passes, and is released', async () => {
  let released = 0;
  const mine = factory((own) => ({
    release: () => {
      released++;
      return own.release();
    },
  }));
  expect(await checkProvider(mine)).toEqual([]);
  expect(released).toBe(1);
});

const refused = 'a run that feeds "y" in place of "x" ends in';
it.each<[string, ProviderFactory, (string | RegExp)[]]>([
  [
    'create',
    {
      ...factory(),
      create: () => {
        throw new Error('no device');
      },
    },
    ['create fails: no device'],
  ],
  ['createSession', { ...factory(), create: () => ({ createSession: fail }) }, ['createSession fails: no device']],
  ['run', factory(() => ({ run: fail })), ['run fails: no device']],
  ['release', factory(() => ({ release: fail })), ['release fails: no device']],
  ['names', factory(() => ({ inputNames: ['input'] })), ['inputNames is [input], expected [x]']],
  [
    'values',
    factory((own) => ({
      run: async (feeds) => {
        const { logits } = await own.run(feeds);
        return { logits: { ...logits!, data: (logits!.data as Float32Array).map((each) => each * 1.01) } };
      },
    })),
    [/^in a batch of 1, logits at \d is -?[\d.]+, expected -?[\d.]+ \(error/, /^in a batch of 3, logits at/],
  ],
  [
    'batches',
    factory((own) => ({
      run: async (feeds) => {
        const { logits } = await own.run(feeds);
        return { logits: { ...logits!, dims: [1, 3], data: (logits!.data as Float32Array).slice(0, 3) } };
      },
    })),
    ['in a batch of 3, logits has shape [1, 3], expected [3, 3]'],
  ],
  [
    'strange inputs',
    factory((own) => ({ run: (feeds: Feeds) => own.run({ x: Object.values(feeds)[0]! }) })),
    [`${refused} no error, which should be an OnnxLoraError`],
  ],
  [
    'errors',
    factory((own) => ({ run: (feeds: Feeds) => (feeds['x'] ? own.run(feeds) : fail()) })),
    [`${refused} Error: no device, which should be an OnnxLoraError`],
  ],
])('one with wrong %s is told so', async (_, broken, problems) => {
  // prettier-ignore
  expect(await checkProvider(broken)).toEqual(problems.map((each) => (typeof each === 'string' ? each : expect.stringMatching(each) as string)));
});

it('one whose output has another name is told so', async () => {
  const mine = factory(() => ({ run: ({ x }) => Promise.resolve({ y: x ?? float32([], [0]) }) }));
  expect(await checkProvider(mine)).toContain('in a batch of 1, logits is missing');
});
