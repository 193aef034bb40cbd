/** @file Several runs that share their steps give what one gives, bit for bit; one that comes late catches up. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { tinyTask } from '../../../fixtures/tinyTask.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { GradientMean, type LossAndGradients } from '../../train/step/gradientMean.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';
import type { GradientExchange } from './gradientExchange.ts';
import type { TrainOptions } from './options/options.ts';

const workers = 3;
const settings = {
  lora: { r: 4, targetModules: ['fc1', 'fc2'] },
  steps: 6,
  batchSize: 4,
  accumulationSteps: 4,
  lr: 1e-2,
  seed: 5,
  provider: 'cpu',
  threads: 1,
} as const;

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-exchange-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The same place for all: a step's mean is made once all of its batches are there. */
class Meeting {
  readonly means: Promise<LossAndGradients>[] = [];
  readonly #given: Map<number, LossAndGradients>[] = [];
  readonly #come: ((mean: LossAndGradients) => void)[] = [];

  /** The exchange of a worker that takes part from a step on. */
  of(worker: number, from = 0): GradientExchange {
    return {
      computes: (step, batch) => step >= from && batch % workers === worker,
      exchange: async (step, own) => {
        this.means[step] ??= new Promise((resolve) => (this.#come[step] = resolve));
        const given = (this.#given[step] ??= new Map());
        for (const [batch, { loss, gradients, ...rest }] of own)
          given.set(batch, {
            ...rest,
            loss,
            gradients: new Map([...gradients].map(([name, each]) => [name, each.slice()])),
          });
        if (given.size === settings.accumulationSteps && own.size > 0) {
          const mean = new GradientMean();
          for (const [, each] of [...given].sort(([a], [b]) => a - b)) await mean.add(each);
          this.#come[step]!(mean.value());
        }
        const { gradients, ...rest } = await this.means[step]!;
        // The optimizer may change them.
        return { ...rest, gradients: new Map([...gradients].map(([name, each]) => [name, each.slice()])) };
      },
    };
  }
}

interface Told {
  readonly losses: readonly number[];
  readonly tensors: readonly (readonly [string, string])[];
}

it.each([
  ['plain', {}],
  ['with clipping and a schedule', { clip: { norm: 0.1 }, schedule: 'cosine', warmupSteps: 2 }],
  ['with weighted examples', { sampling: 'balanced' }],
] as const)('%s', async (_, options) => {
  const file = path.join(temporaryFolder(), 'model.onnx');
  writeOnnx(file, mlp((layer) => golden(`base.${layer}.weight`)).model);
  const model = await openModel(file);
  const weights = 'sampling' in options ? Array.from({ length: 40 }, (__, i) => 1 + (i % 3)) : undefined;
  const run = async (own: Partial<TrainOptions>, loaded: number[] = []): Promise<Told> => {
    const task = tinyTask({ onGet: (index) => loaded.push(index), ...(weights ? { weights } : {}) });
    const begun = await train(model, { ...settings, ...options, ...own, task });
    const losses: number[] = [];
    for await (const event of begun) if (event.type === 'step') losses.push(event.loss);
    const { adapter } = await begun.done;
    const bytes = ({ buffer }: { buffer: ArrayBufferLike }): string => Buffer.from(buffer).toString('hex');
    return { losses, tensors: [...adapter.tensors].map(([name, { data }]) => [name, bytes(data)] as const) };
  };
  const alone = await run({});
  const meeting = new Meeting();
  const checkpoints = { folder: path.join(temporaryFolder(), 'checkpoints'), every: 2 };
  const loaded: number[][] = [[], [], []];
  const all = await Promise.all(
    loaded.map((own, i) => run({ exchange: meeting.of(i), ...(i === 0 ? { checkpoints } : {}) }, own)),
  );
  for (const each of all) expect(each).toEqual(alone);
  // Four batches of four a step: the first worker has two, and each opens the first of all.
  expect(loaded.map(({ length }) => length)).toEqual([6 * 8, 6 * 4 + 4, 6 * 4 + 4]);
  // One that comes in the middle reads a checkpoint, and takes the means since; it computes nothing.
  const late: number[] = [];
  const second = await run({ exchange: meeting.of(1, 6), resume: path.join(checkpoints.folder, 'step-2') }, late);
  expect(second).toEqual({ ...alone, losses: alone.losses.slice(2) });
  expect(late).toHaveLength(4);
  // The checkpoints are those of a run alone, which continues from one.
  const { files } = JSON.parse(readFileSync(path.join(checkpoints.folder, 'step-4/state.json'), 'utf8')) as {
    files: object;
  };
  expect(Object.keys(files)).toContain('training_state.safetensors');
  expect(await run({ resume: path.join(checkpoints.folder, 'step-4') })).toEqual({
    ...alone,
    losses: alone.losses.slice(4),
  });
});
