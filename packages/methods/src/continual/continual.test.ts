/** @file One task after the other: what is kept between two, what replay adds, and the summary, against hand-made numbers. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, float32, type Model, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { meanSquaredError, type MetricCollector, type Task } from '@onnx-lora/sdk/tasks';
import { randomAdapter } from '@onnx-lora/testing';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { taskOf } from '../../fixtures/memorise.ts';
import { methodsPlugin } from '../plugin.ts';
import { continual, continualMethods, type ContinualOptions, summary } from './continual.ts';
import { InputSpaces, nextTaskStart } from './infLora.ts';
import { nextStage } from './nextStage.ts';
import { withReplay } from './withReplay.ts';

let model: Model;
const targetModules = ['up', 'down'];
const x = float32(Float32Array.from({ length: 3 * 5 * 8 }, (_, i) => Math.sin(i * i)), [3, 5, 8]); // prettier-ignore

beforeAll(async () => {
  model = await openModel(path.join(import.meta.dirname, '../../fixtures/arrow/model.onnx'), {
    plugins: [methodsPlugin],
  });
});

/** Three examples to learn by heart. */
function memories(seed: number): Task {
  const y = float32(Float32Array.from({ length: 9 }, (_, i) => Math.cos(seed * (i + 1))), [3, 3]); // prettier-ignore
  const task = taskOf(3, { x }, { y }, (g, { logits }, { y: wanted }) => meanSquaredError(g, logits!, wanted!));
  const metrics = (): MetricCollector => ({ update: () => undefined, result: () => ({ score: seed }) });
  return { ...task, prepare: async (given) => ({ ...(await task.prepare(given)), metrics }) };
}

async function logits(adapter: Adapter): Promise<number[]> {
  const session = await model.session({ adapters: { adapter }, threads: 1 });
  const { logits: found } = await session.run({ x }, { adapter: 'adapter' });
  await session.release();
  return Array.from(found!.data as Float32Array);
}

const end = (adapter: Adapter, word: string): [string, Tensor][] => [...adapter.tensors].filter(([name]) => name.endsWith(`.${word}`)); // prettier-ignore

/** The adapter with other values for some of its tensors. */
function changed(adapter: Adapter, change: (name: string, tensor: Tensor) => Tensor | undefined): Adapter {
  return new Adapter(adapter.config, new Map([...adapter.tensors].map(([name, tensor]) => [name, change(name, tensor) ?? tensor]))); // prettier-ignore
}

describe('between two tasks', () => {
  it.each([
    ['o-lora', 'old_r', 2],
    ['sd-lora', 'old_tasks', 1],
  ])('%s keeps what was learned beside new factors, task after task', async (name, counted, each) => {
    let adapter = await randomAdapter(model, { lora: { tuner: { name, r: 2 }, targetModules } });
    for (const stage of [1, 2]) {
      const before = await logits(adapter);
      adapter = nextStage(adapter, stage);
      expect(adapter.config.extra[counted]).toBe(each * stage);
      for (const [, { dims }] of end(adapter, 'old_A')) expect(dims[0]).toBe(2 * stage);
      for (const [, { data }] of end(adapter, 'lora_B')) expect([...(data as Float32Array)].every((each) => each === 0)).toBe(true); // prettier-ignore
      (await logits(adapter)).forEach((value, i) => {
        expect(value).toBeCloseTo(before[i]!, 5);
      });
      // As if the new factors had learned something.
      adapter = changed(adapter, (name, { data, dims }) => (name.endsWith('lora_B') ? float32((data as Float32Array).map((_, i) => Math.sin(i)), dims) : undefined)); // prettier-ignore
    }
  });

  it('SD-LoRA keeps directions, and has magnitudes for what they were', async () => {
    const first = await randomAdapter(model, { lora: { tuner: { name: 'sd-lora', r: 2 }, targetModules } });
    const next = nextStage(first, 1);
    for (const [name, { data: A }] of end(first, 'lora_A')) {
      const word = (adapter: Adapter, each: string): number[] => [...(adapter.tensors.get(name.replace('lora_A', each))!.data as Float32Array)]; // prettier-ignore
      const B = word(first, 'lora_B');
      const [lengthA, lengthB] = [Math.hypot(...(A as Float32Array)), Math.hypot(...B)];
      word(next, 'old_A').forEach((value, i) => expect(value).toBeCloseTo(Number(A[i]) / lengthA, 6));
      word(next, 'old_B').forEach((value, i) => expect(value).toBeCloseTo(B[i]! / lengthB, 6));
      expect(word(next, 'old_scale')).toEqual([expect.closeTo(word(first, 'scale')[0]! * lengthA * lengthB, 4)]);
      expect(word(next, 'scale')).toEqual([expect.closeTo(0.8, 6)]);
    }
    const { adapter } = await (await train(model, { task: memories(2), from: next, lr: 0.02, steps: 3 })).done;
    for (const word of ['old_A', 'old_B']) for (const [name, { data }] of end(adapter, word)) expect(data).toEqual(next.tensors.get(name)!.data); // prettier-ignore
    for (const word of ['old_scale', 'scale', 'lora_A', 'lora_B']) for (const [name, { data }] of end(adapter, word)) expect(data).not.toEqual(next.tensors.get(name)!.data); // prettier-ignore
  });

  it('the new A of O-LoRA turns away from the old ones', async () => {
    const overlap = (adapter: Adapter): number => {
      let sum = 0;
      for (const [name, { data: A, dims }] of end(adapter, 'lora_A')) {
        const old = adapter.tensors.get(name.replace('lora_A', 'old_A'))!;
        const width = dims[1]!;
        for (let i = 0; i < dims[0]!; i++)
          for (let j = 0; j < old.dims[0]!; j++)
            sum += Math.abs(Array.from({ length: width }, (_, k) => Number(A[i * width + k]) * Number(old.data[j * width + k])).reduce((a, b) => a + b)); // prettier-ignore
      }
      return sum;
    };
    const first = await train(model, { task: memories(1), lora: { tuner: { name: 'o-lora', r: 2, lambda: 5 }, targetModules }, lr: 0.02, steps: 5 }); // prettier-ignore
    const begun = nextStage((await first.done).adapter, 7);
    const { adapter } = await (await train(model, { task: memories(2), from: begun, lr: 0.02, steps: 40 })).done;
    expect(overlap(begun)).toBeGreaterThan(0.3);
    expect(overlap(adapter)).toBeLessThan(0.5 * overlap(begun));
    for (const [name, { data }] of end(adapter, 'old_A')) expect(data).toEqual(begun.tensors.get(name)!.data);
  });

  it('EWC holds values by the mean squares of gradients so far', async () => {
    const run = await train(model, { task: memories(1), lora: { tuner: { name: 'ewc', r: 2 }, targetModules }, lr: 0.02, steps: 4 }); // prettier-ignore
    const { adapter } = await run.done;
    const next = nextStage(adapter, 1);
    for (const [name, { data }] of end(adapter, 'lora_B')) {
      const squares = adapter.tensors.get(name.replace('lora_B', 'squares_lora_B'))!.data as Float32Array;
      expect(next.tensors.get(name.replace('lora_B', 'anchor_lora_B'))!.data).toEqual(data);
      expect(next.tensors.get(name.replace('lora_B', 'fisher_lora_B'))!.data).toEqual(squares.map((each) => each / 4));
      expect(Math.max(...squares)).toBeGreaterThan(0);
    }
    // A spring of stiffness 500 is in balance at a 500th of the gradient; free, twenty steps go a fiftieth of it at most.
    const moved = async (lambda: number): Promise<number> => {
      const stiff = changed(next, (name, { data, dims }) => (name.includes('.fisher_') ? float32(new Float32Array(data.length).fill(1), dims) : undefined)); // prettier-ignore
      const from = new Adapter({ ...stiff.config, extra: { ...stiff.config.extra, lambda } }, stiff.tensors);
      const after = (await (await train(model, { task: memories(2), from, lr: 0.001, steps: 20, optimizer: 'sgd' })).done).adapter; // prettier-ignore
      return Math.hypot(...end(after, 'lora_B').flatMap(([name, { data }]) => [...(data as Float32Array)].map((value, i) => value - Number(next.tensors.get(name)!.data[i])))); // prettier-ignore
    };
    expect((await moved(500)) / (await moved(0))).toBeLessThan(0.3);
  });
});

it('replay adds examples of each task before, once each, and measures the new one alone', async () => {
  const data = await withReplay(memories(3), [memories(1), memories(2)], 2).prepare(model as never);
  expect(data.train.length).toBe(3 + 2 + 2);
  expect((await withReplay(memories(3), [memories(1)], 100).prepare(model as never)).train.length).toBe(6);
  expect(await Promise.all(Array.from({ length: 7 }, (_, i) => data.train.get(i)))).toHaveLength(7);
  expect((await memories(3).prepare(model as never)).validation).toEqual(data.validation);
});

it('sums a matrix up', () => {
  const scores = [
    [0.9, 0.3, 0.2],
    [0.7, 0.8, 0.4],
    [0.5, 0.85, 0.9],
  ];
  const { average, forgetting, forwardTransfer } = summary(scores, [0.1, 0.1, 0.1]);
  expect(average).toBeCloseTo(0.75, 12);
  // 0.9 − 0.5 and 0.8 − 0.85.
  expect(forgetting).toBeCloseTo((0.4 - 0.05) / 2, 12);
  expect(forwardTransfer).toBeCloseTo((0.2 + 0.3) / 2, 12);
  // The same as errors.
  const errors = summary(scores.map((row) => row.map((score) => 1 - score)), [0.9, 0.9, 0.9], true); // prettier-ignore
  expect(errors.average).toBeCloseTo(0.25, 12);
  expect(errors.forgetting).toBeCloseTo(forgetting, 12);
  expect(errors.forwardTransfer).toBeCloseTo(forwardTransfer, 12);
});

const tasks = { one: memories(1), two: memories(2) };
const few = { tasks, lora: { r: 2, targetModules }, steps: 6, batchSize: 2, lr: 0.01, replayExamples: 2, seed: 5, threads: 1 } as const; // prettier-ignore

it.each(continualMethods)('%s goes through all tasks', async (method) => {
  const seen: string[] = [];
  const found = await continual(model, { ...few, method, onTask: (task) => seen.push(task) });
  expect(seen).toEqual(['one', 'two']);
  expect(found.metric).toBe('score');
  expect([found.base, ...found.scores]).toEqual(new Array(3).fill([1, 2]));
  expect(found.adapter.tensors.size).toBeGreaterThan(3);
});

it.each(continualMethods)('%s, interrupted in the middle of a task, ends with the same adapter', async (method) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-continual-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { adapter: whole } = await continual(model, { ...few, method });
  const made: string[] = [];
  const stop = new AbortController();
  const kept: ContinualOptions = {
    ...few,
    method,
    checkpoints: { folder, every: 1 },
    onEvent: (task, event) => {
      if (event.type !== 'step') return;
      made.push(`${task} ${event.step}`);
      if (task === 'two' && event.step === 2) stop.abort();
    },
  };
  await expect(continual(model, { ...kept, signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  const before = made.splice(0).length;
  const { adapter, scores } = await continual(model, kept);
  expect(scores).toEqual([[1, 2], [1, 2]]); // prettier-ignore
  // No step is made again.
  expect(before + made.length).toBeLessThanOrEqual(12);
  expect(made[0]).toMatch(/^two [3-6]$/);
  expect(adapter.config.peftType).toBe(whole.config.peftType);
  expect([...adapter.tensors.keys()].toSorted()).toEqual([...whole.tensors.keys()].toSorted());
  for (const [name, { data }] of adapter.tensors) expect(data, name).toEqual(whole.tensors.get(name)!.data);
  expect(readdirSync(folder).toSorted()).toEqual(['adapters', 'checkpoints', 'continual.json']);
  made.splice(0);
  await continual(model, kept);
  expect(made).toEqual([]);
  await expect(continual(model, { ...kept, lr: 0.02 })).rejects.toThrow(/other settings: lr was 0.01 and is 0.02/);
  await continual(model, { ...kept, lr: 0.02, checkpoints: { folder, overwrite: true } });
  expect(made).toHaveLength(12);
});

it('refuses what cannot be learned so, before anything is measured', async () => {
  await expect(continual(model, { tasks: { one: memories(1) } })).rejects.toThrow(/at least two tasks/);
  await expect(continual(model, { ...few, method: 'none' as never })).rejects.toThrow(/no method "none".*o-lora/);
  await expect(continual(model, { ...few, method: 'ewc', lora: { tuner: 'loha' } })).rejects.toThrow(/ewc says itself how/); // prettier-ignore
  await expect(continual(model, { ...few, lora: { targetModules: ['nowhere'] } })).rejects.toThrow(/nowhere/);
  const withHead = (labels: string[]): Task => ({ ...tasks.one, prepare: async (given) => ({ ...(await tasks.one.prepare(given)), head: { output: 'logits', labels } }) }); // prettier-ignore
  const cats = withHead(['cat', 'dog']);
  await expect(continual(model, { ...few, tasks: { cats, birds: withHead(['bird', 'dog']) } })).rejects.toThrow(/"cats" and "birds" have different labels/); // prettier-ignore
  await expect(continual(model, { ...few, method: 'merge', tasks: { cats, dogs: cats } })).rejects.toThrow(/another method than merge/); // prettier-ignore
});

it('InfLoRA changes nothing along inputs of the task before, and leaves A as it was chosen', async () => {
  const spaces = new InputSpaces();
  const learned = async (task: Task, before?: Adapter): Promise<Adapter> => {
    const own = { lr: 0.02, steps: 10, batchSize: 3, task };
    const from = await nextTaskStart(model, { ...own, lora: { r: 2, loraAlpha: 4, targetModules } }, spaces, before);
    const { adapter } = await (await train(model, { ...own, from })).done;
    spaces.learned();
    return adapter;
  };
  const one = await learned(memories(1));
  const next = nextStage(one, 2);
  const two = await learned(memories(2), next);
  expect(two.config.extra).toMatchObject({ old_r: 2, train_A: false });
  for (const [name, { data, dims }] of end(two, 'lora_A')) {
    const old = next.tensors.get(name.replace('lora_A', 'old_A'))!;
    const width = dims[1]!;
    // The first A are main directions of the very same inputs: the second ones have nothing of them.
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 2; j++)
        expect(Array.from({ length: width }, (_, k) => Number(data[i * width + k]) * Number(old.data[j * width + k])).reduce((a, b) => a + b)).toBeCloseTo(0, 5); // prettier-ignore
    expect(Math.hypot(...(data as Float32Array).subarray(0, width))).toBeCloseTo(1 / Math.sqrt(3), 5);
  }
  // Inputs lie in few directions, which the first task has taken: what the second learns is nearly lost on them.
  const moved = (from: number[], to: number[]): number => Math.hypot(...from.map((value, i) => value - to[i]!));
  const [before, after] = [await logits(next), await logits(two)];
  expect(moved(before, after)).toBeGreaterThan(0);
  const plain = (await (await train(model, { task: memories(2), lora: { r: 2, loraAlpha: 4, targetModules }, lr: 0.02, steps: 10, batchSize: 3 })).done).adapter; // prettier-ignore
  const base = changed(plain, (name, { data, dims }) => (name.includes('lora_B') ? float32(new Float32Array(data.length), dims) : undefined)); // prettier-ignore
  expect(moved(before, after)).toBeLessThan(0.5 * moved(await logits(base), await logits(plain)));
});
