/** @file Unlearning: its loss against one made of the two halves' own, and that it forgets what it shall, and keeps the rest. */

import path from 'node:path';
import { type Adapter, evaluate, float32, int64, type Model, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { crossEntropy, type MetricCollector, type Task } from '@onnx-lora/sdk/tasks';
import { beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from '../plugin.ts';
import { unlearning, type UnlearningOptions } from './unlearning.ts';

let model: Model;
/** What the base answers for each of twelve inputs, which are to be kept or lost. */
let answers: number[];
const size = 5 * 8;
const inputs = Float32Array.from({ length: 12 * size }, (_, i) => Math.sin(1.7 * i * i));

/** Some of the inputs with the base's own answers. */
function known(rows: readonly number[]): Task {
  const accuracy = (): MetricCollector => {
    let [right, all] = [0, 0];
    return {
      update: ({ logits }, { labels }) => {
        labels!.data.forEach((label, i) => {
          all++;
          if (best(logits!, i) === Number(label)) right++;
        });
      },
      result: () => ({ accuracy: right / all }),
    };
  };
  return {
    name: 'known',
    prepare: async () => ({
      train: { length: rows.length, get: async (i) => rows[i]! },
      validation: { length: rows.length, get: async (i) => rows[i]! },
      collate: async (examples) => {
        const own = examples as number[];
        return {
          inputs: { x: float32(own.flatMap((row) => [...inputs.subarray(row * size, (row + 1) * size)]), [own.length, 5, 8]) }, // prettier-ignore
          targets: { labels: int64(own.map((row) => answers[row]!), [own.length]) }, // prettier-ignore
        };
      },
      loss: (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!),
      lossWeight: () => 1,
      metrics: accuracy,
    }),
  };
}

function best({ data, dims }: Tensor, row: number): number {
  const scores = Array.from({ length: dims[1]! }, (_, k) => Number(data[row * dims[1]! + k]));
  return scores.indexOf(Math.max(...scores));
}

let logits: Tensor;
beforeAll(async () => {
  model = await openModel(path.join(import.meta.dirname, '../../fixtures/arrow/model.onnx'), {
    plugins: [methodsPlugin],
  });
  const session = await model.session({ threads: 1 });
  logits = (await session.run({ x: float32(inputs, [12, 5, 8]) }))['logits']!;
  await session.release();
  answers = Array.from({ length: 12 }, (_, i) => best(logits, i));
});

const lost = [0, 1, 2, 3];
const kept = [4, 5, 6, 7];

/** −log of the softmax at the answer, the mean over these rows. */
function crossEntropyOf(rows: readonly number[]): number {
  const each = rows.map((row) => {
    const scores = Array.from({ length: 3 }, (_, k) => Number(logits.data[row * 3 + k]));
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[answers[row]!]!;
  });
  return each.reduce((sum, value) => sum + value, 0) / each.length;
}

it.each<[Partial<UnlearningOptions>, () => number]>([
  [{}, () => crossEntropyOf(kept) + (10 - crossEntropyOf(lost))],
  [{ bound: 1e-9, weight: 3 }, () => crossEntropyOf(kept)],
  [{ bound: 2, weight: 0.5 }, () => crossEntropyOf(kept) + 0.5 * (2 - crossEntropyOf(lost))],
  [{ method: 'difference', weight: 2 }, () => crossEntropyOf(kept) - 2 * crossEntropyOf(lost)],
  [{ method: 'ascent' }, () => -crossEntropyOf(lost)],
])('its loss with %j', async (options, expected) => {
  const task = unlearning({ forget: known(lost), retain: known(kept), ...options });
  const run = await train(model, { task, lora: { r: 2, targetModules: ['up'] }, steps: 1, batchSize: 4, lr: 1e-30 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  expect(losses).toEqual([expect.closeTo(expected(), 4)]);
  await run.done;
});

it(
  'forgets what it shall to guessing, and keeps the rest, also with layers as groups',
  { timeout: 120_000 },
  async () => {
    const accuracy = async (rows: readonly number[], adapter: Adapter): Promise<number> => (await evaluate(model, { task: known(rows), adapter })).metrics['accuracy']!; // prettier-ignore
    const more = Array.from({ length: 8 }, (_, i) => i + 4);
    for (const lora of [
      { r: 4, targetModules: ['up', 'down'] },
      { tuner: { name: 'gs-lora', r: 4, group_lasso: 0.01 }, targetModules: ['up', 'down'] },
    ]) {
      // prettier-ignore
      const task = unlearning({ forget: known(lost), retain: known(more), bound: Math.log(3) });
      const { adapter } = await (await train(model, { task, lora, steps: 150, batchSize: 8, lr: 0.02 })).done;
      expect(await accuracy(more, adapter)).toBe(1);
      expect(await accuracy(lost, adapter)).toBeLessThan(0.6);
    }
  },
);

it.each([
  [{ method: 'none' as never }, /no way "none" to unlearn/],
  [{ bound: -1 }, /bound must be a number above 0/],
  [{ weight: NaN }, /weight must be a number above 0/],
])('refuses %j', (options, message) => {
  expect(() => unlearning({ forget: known(lost), retain: known(kept), ...options })).toThrow(message);
});
