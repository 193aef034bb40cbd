/** @file The check of trackers: a right one passes, and each mistake is told. */

import { appendFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { TrainEvent } from '@onnx-lora/sdk';
import type { TrackedRun, Tracker, TrackerFactory } from '@onnx-lora/sdk/plugin';
import { checkTracker } from './checkTracker.ts';

function factory(create: (run: TrackedRun) => Tracker): TrackerFactory {
  return { name: 'mine', description: 'Mine.', create };
}

const silent: Tracker = { add() {}, close() {} };
const fail = (): never => {
  throw new Error('offline');
};

it('hears of all kinds of events, in a folder of its own, and of a run that ends at once', async () => {
  const heard: string[] = [];
  const folders: string[] = [];
  const mine = factory(({ folder, firstStep, settings }) => {
    folders.push(folder);
    heard.push(`from ${firstStep} ${JSON.stringify(settings)}`);
    return {
      add: ({ type }) => {
        appendFileSync(path.join(folder, 'events'), type);
        heard.push(type);
      },
      close: () => void heard.push('close'),
    };
  });
  expect(await checkTracker(mine, { settings: { project: 'cells' } })).toEqual([]);
  const kinds: Record<TrainEvent['type'], true> = { step: true, warning: true, badSample: true, skipped: true, evaluation: true, checkpoint: true }; // prettier-ignore
  expect(heard).toEqual([
    'from 0 {"project":"cells"}',
    ...Object.keys(kinds),
    'close',
    'from 2 {"project":"cells"}',
    'close',
  ]);
  expect(folders.some((each) => existsSync(each))).toBe(false);
});

it('what is begun may wait for the end', async () => {
  const waiting = factory(() => {
    let end!: () => void;
    const sent = new Promise<void>((resolve) => (end = resolve));
    return { add: () => sent, close: () => end() };
  });
  expect(await checkTracker(waiting)).toEqual([]);
});

it.each<[string, (run: TrackedRun) => Tracker, string[]]>([
  ['create', fail, ['create fails: offline']],
  ['add', () => ({ ...silent, add: ({ type }) => (type === 'skipped' ? fail() : undefined) }), ['add of the event "skipped" fails: offline']], // prettier-ignore
  ['add, later', () => ({ ...silent, add: ({ type }) => (type === 'step' ? Promise.reject(new Error('offline')) : undefined) }), ['add of the event "step" fails: offline']], // prettier-ignore
  ['close', () => ({ ...silent, close: fail }), ['close fails: offline', 'close after nothing fails: offline']],
  ['close of a run that continues', ({ firstStep }) => ({ ...silent, close: () => (firstStep > 0 ? fail() : undefined) }), ['close after nothing fails: offline']], // prettier-ignore
])('one that fails in %s is told so', async (_, create, problems) => {
  expect(await checkTracker(factory(create))).toEqual(problems);
});
