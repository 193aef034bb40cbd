/** @file A run that keeps what its frozen layers give is the run without, and says what it does. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { caseFolders } from '../../../../../../test/support/caseFolders.ts';
import type { Adapter } from '../../../adapter/adapter.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { Task } from '../../../plugin/preparedTask.ts';
import { Random } from '../../../runtime/random.ts';
import { float32, int64, stack, type Tensor } from '../../../runtime/tensor.ts';
import { crossEntropy } from '../../../train/losses/index.ts';
import { openModel } from '../../openModel.ts';
import { train } from '../../train.ts';
import type { TrainOptions } from './options.ts';
import type { TrainResult, TrainingRun } from '../trainingRun.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-kept-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const model = await openModel(path.join(caseFolders().find(([name]) => name === 'vit-v4')![1], 'model.onnx'));
const [, channels, height, width] = model.inputs['pixel_values']!.dims as number[];

interface Picture {
  readonly pixels: Tensor;
  readonly label: number;
}

/** Ten pictures of noise; those in `bad` cannot be loaded. */
function task(
  isDeterministic: boolean | undefined,
  bad: readonly number[] = [],
  lengths?: readonly number[],
): Task<Picture> {
  return {
    name: 'noise',
    prepare: () =>
      Promise.resolve({
        train: {
          length: 10,
          lengths,
          ...(isDeterministic === undefined ? {} : { isDeterministic }),
          get: (index: number) => {
            if (bad.includes(index)) return Promise.reject(new OnnxLoraError('DATA_INVALID', `No picture ${index}.`));
            const random = new Random(index);
            const data = Float32Array.from({ length: channels! * height! * width! }, () => random.uniform(-1, 1));
            return Promise.resolve({ pixels: float32(data, [channels!, height!, width!]), label: index % 3 });
          },
        },
        collate: (pictures) =>
          Promise.resolve({
            inputs: { pixel_values: stack(pictures.map(({ pixels }) => pixels)) },
            targets: { labels: int64(pictures.map(({ label }) => label), [pictures.length]) }, // prettier-ignore
          }),
        loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
        lossWeight: ({ labels }) => labels!.data.length,
        metrics: () => {
          throw new Error('not used');
        },
      }),
  };
}

interface Done extends TrainResult {
  readonly losses: readonly number[];
  readonly prefix: TrainingRun['prefix'];
}

async function run(options: Partial<TrainOptions> & Pick<TrainOptions, 'task'>, stopAt = Infinity): Promise<Done> {
  const run = await train(model, {
    lora: { r: 2, targetModules: ['query', 'value'], layersToTransform: [1] },
    epochs: 4,
    batchSize: 4,
    lr: 1e-2,
    provider: 'cpu',
    threads: 1,
    ...options,
  });
  const losses: number[] = [];
  for await (const event of run) {
    if (event.type !== 'step') continue;
    losses.push(event.loss);
    if (event.step === stopAt) run.stop();
  }
  return { ...(await run.done), losses, prefix: run.prefix };
}

function bytesOf(adapter: Adapter): string {
  return [...adapter.tensors].map(([name, { data }]) => `${name} ${Buffer.from(data.buffer).toString('hex')}`).join();
}

function expectSame(a: Done, b: Done): void {
  expect(a.losses).toHaveLength(b.losses.length);
  a.losses.forEach((loss, i) => expect(loss).toBeCloseTo(b.losses[i]!, 5));
}

describe('a run', () => {
  it('keeps what never changes, and ends as it would have', async () => {
    const [kept, plain] = [await run({ task: task(true) }), await run({ task: task(true), cachePrefix: false })];
    expect(kept.prefix).toMatchObject({ kept: true, where: 'memory' });
    expect(plain.prefix).toEqual({ kept: false, reason: 'cachePrefix is false' });
    expectSame(kept, plain);
    const rows = path.join(folder, 'rows');
    const filed = await run({ task: task(true), cachePrefix: { bytes: 1 << 20, folder: rows } });
    expect(filed.prefix).toMatchObject({ kept: true, where: 'file' });
    expect(bytesOf(filed.adapter)).toBe(bytesOf(kept.adapter));
  });

  it('takes the right values where others stand in for a bad example', async () => {
    const options = { task: task(true, [3, 8]), onBadSample: 'skip' } as const;
    const kept = await run(options);
    expect(kept).toMatchObject({ badSamples: 2, prefix: { kept: true } });
    expectSame(kept, await run({ ...options, cachePrefix: false }));
  });

  it('that is interrupted continues with nothing kept, to the same bits', async () => {
    const whole = await run({ task: task(true) });
    const checkpoints = { folder: path.join(folder, 'checkpoints') };
    // In the middle of the second epoch.
    await run({ task: task(true), checkpoints }, 4);
    const rest = await run({ task: task(true), checkpoints, resume: true });
    expect(rest.losses.length).toBeLessThan(whole.losses.length);
    expect(bytesOf(rest.adapter)).toBe(bytesOf(whole.adapter));
  });

  it.each<[Partial<TrainOptions> & Pick<TrainOptions, 'task'>, string]>([
    [
      { task: task(undefined) },
      'the data does not say that an example is the same each time it is read (isDeterministic)',
    ],
    [{ task: task(false) }, 'the data does not say that an example is the same each time it is read (isDeterministic)'],
    [{ task: task(true), steps: 2 }, 'the run reads each example only once'],
  ])('keeps nothing where it would be wrong or in vain (%#)', async (options, reason) => {
    const { prefix } = await run({ epochs: 2, ...options });
    expect(prefix).toEqual({ kept: false, reason });
  });

  it('keeps little only of examples of one length: one graph for all lengths saves more', async () => {
    const lora = { r: 2, targetModules: ['query'], layersToTransform: [0] };
    const prefixOf = async (lengths: readonly number[], own: Partial<TrainOptions> = {}): Promise<TrainingRun['prefix']> => (await run({ task: task(true, [], lengths), lora, ...own })).prefix; // prettier-ignore
    const [one, many] = [Array.from({ length: 10 }, () => 7), Array.from({ length: 10 }, (_, i) => i)];
    expect(await prefixOf(one)).toMatchObject({ kept: true });
    expect(await prefixOf(many)).toMatchObject({ kept: false, reason: expect.stringMatching(/only \d+ % of the forward/) as string }); // prettier-ignore
    expect(await prefixOf(many, { cachePrefix: { bytes: 1 << 20 } })).toMatchObject({ kept: true });
    const last = { r: 2, targetModules: ['output.dense'], layersToTransform: [1] };
    expect(await prefixOf(many, { lora: last })).toMatchObject({ kept: true });
  });

  it('refuses to keep no bytes at all', async () => {
    await expect(run({ task: task(true), cachePrefix: { bytes: 0 } })).rejects.toThrow(
      'cachePrefix.bytes must be a number above 0, but it is 0.',
    );
  });
});
