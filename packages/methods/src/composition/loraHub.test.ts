/** @file LoRAHub: the search on functions whose least value is known, and weights of a task that a known sum of adapters solves. */

import path from 'node:path';
import { Adapter, type AdapterBlend, loadAdapter, type Model, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { readSafetensors, Random } from '@onnx-lora/sdk/data';
import { meanSquaredError, type Task } from '@onnx-lora/sdk/tasks';
import { beforeAll, describe, expect, it } from 'vitest';
import { taskOf } from '../../fixtures/memorise.ts';
import { loraHub, type LoraHubOptions } from './loraHub.ts';
import { search } from './search.ts';

const folder = path.join(import.meta.dirname, '../../fixtures/arrow');
let model: Model;
let adapters: Record<string, Adapter>;
let x: Tensor;
/** The weights with which the adapters give the task's targets. */
const right = { task_0: 0.8, task_1: -0.5, task_2: 0 };
let task: Task;

beforeAll(async () => {
  model = await openModel(path.join(folder, 'model.onnx'));
  const names = Object.keys(right);
  adapters = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await loadAdapter(path.join(folder, name))] as const))); // prettier-ignore
  x = (await readSafetensors(path.join(folder, 'base.safetensors'))).tensors.get('x')!;
  task = taskOf(3, { x }, { y: await logits(right) }, (g, outputs, { y }) => meanSquaredError(g, outputs['logits']!, y!)); // prettier-ignore
});

async function logits(blend: AdapterBlend): Promise<Tensor> {
  await using session = await model.session({ adapters, threads: 1 });
  return (await session.run({ x }, { adapter: blend }))['logits']!;
}

describe('the search', () => {
  const functions: Record<string, { of: (x: readonly number[]) => number; start: number[]; least: number[] }> = {
    // Rosenbrock's valley: least at (1, 1).
    rosenbrock: { of: ([a, b]) => 100 * (b! - a! ** 2) ** 2 + (1 - a!) ** 2, start: [-1, 1], least: [1, 1] },
    // Least beyond the bounds, so at a corner of them.
    corner: { of: ([a, b]) => (a! - 3) ** 2 + (b! + 2) ** 2, start: [0, 0], least: [1.5, -1.5] },
    // No number in half of the plane.
    half: { of: ([a, b]) => (a! < 0 ? NaN : a! ** 2 + (b! - 1) ** 2), start: [1, 0], least: [0, 1] },
  };

  it.each(Object.entries(functions))('finds the least of %s', async (_, { of, start, least }) => {
    let count = 0;
    const loss = (numbers: readonly number[]): Promise<number> => Promise.resolve((count++, of(numbers)));
    const find = (seed: number, evaluations: number): ReturnType<typeof search> => search(loss, { start, bound: 1.5, step: 0.5, evaluations, random: new Random(seed) }); // prettier-ignore
    const found = await find(1, 2000);
    expect(count).toBe(2000);
    expect(found.loss).toBe(of(found.numbers));
    found.numbers.forEach((value, i) => {
      expect(value).toBeCloseTo(least[i]!, 2);
    });
    expect(await find(1, 9)).toEqual(await find(1, 9));
    expect(await find(2, 9)).not.toEqual(await find(1, 9));
  });
});

describe('LoRAHub', () => {
  const find = (options: Partial<LoraHubOptions> = {}): ReturnType<typeof loraHub> => loraHub(model, { adapters, task, threads: 1, ...options }); // prettier-ignore

  it('finds the weights that solve the task', async () => {
    // One seed in four ends at a local minimum of this net's, with a loss of 9e-4.
    const { weights, loss } = await find({ evaluations: 400, penalty: 0, seed: 1 });
    for (const [name, value] of Object.entries(right)) expect(weights[name]).toBeCloseTo(value, 2);
    expect(loss).toBeLessThan(1e-5);
  });

  it('tells the loss that training sees of the combined adapter, however large batches are', async () => {
    for (const batchSize of [2, 3]) {
      const { adapter, loss, weights } = await find({ evaluations: 20, batchSize, penalty: 0 });
      const run = await train(model, { task, from: adapter, lr: 1e-30, steps: 1, batchSize: 3 });
      for await (const event of run) if (event.type === 'step') expect(loss).toBeCloseTo(event.loss, 5);
      expect(adapter.config.r).toBe(9);
      expect(Object.values(weights).some((each) => each !== 0)).toBe(true);
    }
  });

  it('tries as many weightings as it is told, the base first, and keeps the best', async () => {
    const losses: number[] = [];
    const { loss } = await find({ evaluations: 12, penalty: 0, onEvaluation: (_, own) => losses.push(own) });
    expect(losses).toHaveLength(12);
    expect(loss).toBeCloseTo(Math.min(...losses), 12);
    const zero = Object.fromEntries(Object.keys(right).map((name) => [name, 0]));
    const [base, wanted] = [await logits(zero), await logits(right)].map(({ data }) =>
      Array.from(data as Float32Array),
    );
    expect(losses[0]).toBeCloseTo(
      base!.reduce((sum, each, i) => sum + (each - wanted![i]!) ** 2 / base!.length, 0),
      5,
    );
  });

  it('keeps weights small where that costs little, and within the bound', async () => {
    const sizeOf = async (options: Partial<LoraHubOptions>): Promise<number[]> => Object.values((await find({ evaluations: 200, ...options })).weights).map(Math.abs); // prettier-ignore
    const sum = (each: readonly number[]): number => each.reduce((total, value) => total + value, 0);
    expect(sum(await sizeOf({ penalty: 5 }))).toBeLessThan(0.5 * sum(await sizeOf({ penalty: 0 })));
    expect(Math.max(...(await sizeOf({ penalty: 0, bound: 0.3 })))).toBeLessThanOrEqual(0.3);
  });

  it.each<[string, () => Partial<LoraHubOptions>, RegExp]>([
    [
      'no evaluations',
      () => ({ evaluations: 0 }),
      /evaluations of loraHub must be a whole number of at least 1, but it is 0/,
    ],
    ['batches of nothing', () => ({ batchSize: 0.5 }), /batchSize of loraHub must be a whole number/],
    ['no room for weights', () => ({ bound: 0 }), /bound of loraHub must be a number above 0/],
    ['a penalty that rewards', () => ({ penalty: -1 }), /penalty of loraHub must be a number of at least 0/],
    ['no adapters', () => ({ adapters: {} }), /nothing to combine/],
    [
      'DoRA',
      () => ({
        adapters: { a: new Adapter({ ...adapters['task_0']!.config, useDora: true }, adapters['task_0']!.tensors) },
      }),
      /adapter "a" is DoRA, which cannot be combined/i,
    ],
    [
      'a head to train',
      () => ({ task: changed({ head: { output: 'logits', labels: ['cat', 'dog'] } }) }),
      /need a new head for cat, dog, which no blend of adapters trains/,
    ],
    [
      'no examples',
      () => ({ task: changed({ train: { length: 0, get: () => Promise.resolve(0) } }) }),
      /has no examples to train on/,
    ],
    [
      'a loss that is no number',
      () => ({ task: changed({ loss: (g) => g.Mul(g.scalar(NaN), 1) }) }),
      /without an adapter is NaN/,
    ],
  ])('refuses %s', async (_, options, message) => {
    await expect(find(options())).rejects.toThrow(message);
  });

  function changed(parts: Partial<Awaited<ReturnType<Task['prepare']>>>): Task {
    return { ...task, prepare: async (given) => ({ ...(await task.prepare(given)), ...parts }) };
  }
});
