/** @file Unlearning: its loss against one made by hand, that it forgets what it shall and keeps the rest, and what is measured of both. */

import path from 'node:path';
import { type Adapter, evaluate, float32, int64, type Model, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { crossEntropy, type MetricCollector, type PreparedTask, type Task } from '@onnx-lora/sdk/tasks';
import { randomAdapter } from '@onnx-lora/testing';
import { beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from '../plugin.ts';
import { measureUnlearning, membershipOf } from './measureUnlearning.ts';
import { unlearning, type UnlearningOptions } from './unlearning.ts';

let model: Model;
/** The base's answers for twelve inputs, to be kept or lost. */
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
/** An adapter that is not the base, and what it says. */
let other: Adapter;
let otherLogits: Tensor;
beforeAll(async () => {
  model = await openModel(path.join(import.meta.dirname, '../../fixtures/arrow/model.onnx'), {
    plugins: [methodsPlugin],
  });
  other = await randomAdapter(model, { lora: { r: 2, loraAlpha: 40, targetModules: ['up', 'down'] } });
  const session = await model.session({ threads: 1, adapters: { other } });
  const x = float32(inputs, [12, 5, 8]);
  logits = (await session.run({ x }))['logits']!;
  otherLogits = (await session.run({ x }, { adapter: 'other' }))['logits']!;
  await session.release();
  answers = Array.from({ length: 12 }, (_, i) => best(logits, i));
});

const lost = [0, 1, 2, 3];
const kept = [4, 5, 6, 7];
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Logarithms of the softmax, in float64. */
function logSoftmax({ data }: Tensor, row: number): number[] {
  const scores = Array.from({ length: 3 }, (_, k) => Number(data[row * 3 + k]));
  const total = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
  return scores.map((score) => score - total);
}

/** −log of the softmax at the answer, of these rows. */
const crossEntropies = (rows: readonly number[], said = logits): number[] => rows.map((row) => -logSoftmax(said, row)[answers[row]!]!); // prettier-ignore
const crossEntropyOf = (rows: readonly number[]): number => mean(crossEntropies(rows));

/** (2/β) · mean log(1 + (p/p₀)^β), with the other adapter's p₀. */
function preferenceOf(rows: readonly number[], beta: number): number {
  const [now, before] = [crossEntropies(rows), crossEntropies(rows, otherLogits)];
  return (2 / beta) * mean(now.map((loss, i) => Math.log(1 + (Math.exp(-loss) / Math.exp(-before[i]!)) ** beta)));
}

/** Σ p₀·log (p₀/p), the mean over these rows. */
function divergenceOf(rows: readonly number[]): number {
  return mean(rows.map((row) => {
    const [p, p0] = [logSoftmax(logits, row), logSoftmax(otherLogits, row)];
    return p0.reduce((sum, log, k) => sum + Math.exp(log) * (log - p[k]!), 0);
  })); // prettier-ignore
}

it.each<[Omit<Partial<UnlearningOptions>, 'reference'>, () => number]>([
  [{}, () => crossEntropyOf(kept) + (10 - crossEntropyOf(lost))],
  [{ bound: 1e-9, weight: 3 }, () => crossEntropyOf(kept)],
  [{ bound: 2, weight: 0.5 }, () => crossEntropyOf(kept) + 0.5 * (2 - crossEntropyOf(lost))],
  [{ method: 'difference', weight: 2 }, () => crossEntropyOf(kept) - 2 * crossEntropyOf(lost)],
  [{ method: 'ascent' }, () => -crossEntropyOf(lost)],
  [{ method: 'npo' }, () => crossEntropyOf(kept) + preferenceOf(lost, 0.1)],
  [{ method: 'npo', beta: 2, weight: 0.5 }, () => crossEntropyOf(kept) + 0.5 * preferenceOf(lost, 2)],
  [{ method: 'kl', weight: 0.3 }, () => divergenceOf(kept) - 0.3 * crossEntropyOf(lost)],
])('its loss with %j', async (options, expected) => {
  const reference = options.method === 'npo' || options.method === 'kl' ? { reference: { model, adapter: other } } : {};
  const task = unlearning({ forget: known(lost), retain: known(kept), ...options, ...reference });
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
    const plain = { r: 4, targetModules: ['up', 'down'] };
    const groups = { tuner: { name: 'gs-lora', r: 4, group_lasso: 0.01 }, targetModules: ['up', 'down'] };
    const bounded = { bound: Math.log(3) };
    const npo = { method: 'npo', beta: 1, reference: { model } } as const;
    for (const [lora, options] of [
      [plain, bounded],
      [groups, bounded],
      [plain, npo],
    ] as const) {
      // prettier-ignore
      const task = unlearning({ forget: known(lost), retain: known(more), ...options });
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
  [{ method: 'npo' as const, beta: 0 }, /beta must be a number above 0/],
  [{ method: 'kl' as const }, /kl needs the model before unlearning\. Name it/],
  [{ reference: {} as never }, /The reference has no use for bounded/],
])('refuses %j', (options, message) => {
  expect(() => unlearning({ forget: known(lost), retain: known(kept), ...options })).toThrow(message);
});

it('refuses losses that a method cannot use, before anything is trained', async () => {
  const changed = (more: Partial<PreparedTask>): Task => {
    const task = known(lost);
    return { ...task, prepare: async (given) => ({ ...(await task.prepare(given)), ...more }) };
  };
  const squares = changed({ loss: (g, { logits: y }) => g.ReduceMean(g.Mul(y!, y!), [0, 1], false) });
  const reference = { model };
  const prepared = (options: UnlearningOptions): Promise<unknown> => unlearning(options).prepare(model as never);
  await expect(prepared({ method: 'kl', forget: known(lost), retain: squares, reference })).rejects.toThrow(/not that of scores of classes/); // prettier-ignore
  const comparing = changed({ lossWeight: undefined as never });
  await expect(prepared({ method: 'npo', forget: comparing, retain: known(kept), reference })).rejects.toThrow(/no loss by itself/); // prettier-ignore
});

it('measures both sides, and whether losses tell what was trained on', async () => {
  const unseen = [8, 9, 10, 11];
  const tasks = { forget: known(lost), retain: known(kept), unseen: known(unseen) };
  for (const [adapter, said] of [
    [undefined, logits],
    [other, otherLogits],
  ] as const) {
    // prettier-ignore
    const found = await measureUnlearning(model, { ...tasks, ...(adapter ? { adapter } : {}) });
    const right = (rows: readonly number[]): number =>
      mean(rows.map((row) => Number(best(said, row) === answers[row])));
    expect(found.forget.metrics).toEqual({ accuracy: right(lost) });
    expect(found.retain.metrics).toEqual({ accuracy: right(kept) });
    expect(found.unseen.metrics).toEqual({ accuracy: right(unseen) });
    const expected = membershipOf(crossEntropies(lost, said), crossEntropies(unseen, said));
    expect(found.membership.auc).toBe(expected.auc);
  }
});

it('the membership test is the share of pairs that are in order', () => {
  const trained = Array.from({ length: 60 }, (_, i) => Math.round(20 * Math.abs(Math.sin(i * i))) / 20);
  const unseen = Array.from({ length: 50 }, (_, i) => Math.round(24 * Math.abs(Math.cos(i * i))) / 20);
  const pairs = trained.flatMap((own) => unseen.map((each) => (own < each ? 1 : own === each ? 0.5 : 0)));
  const { auc, interval } = membershipOf(trained, unseen);
  expect(auc).toBeCloseTo(mean(pairs), 12);
  // DeLong's: the variance of the mean over pairs, by that of each side's own means.
  const variance = (values: readonly number[]): number => values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1); // prettier-ignore
  const ofTrained = trained.map((_, i) => mean(pairs.slice(i * 50, (i + 1) * 50)));
  const ofUnseen = unseen.map((_, j) => mean(trained.map((__, i) => pairs[i * 50 + j]!)));
  const half = 1.96 * Math.sqrt(variance(ofTrained) / 60 + variance(ofUnseen) / 50);
  expect(interval[0]).toBeCloseTo(auc - half, 1.5);
  expect(interval[1]).toBeCloseTo(auc + half, 1.5);
});
