/** @file The noise of NEFTune is where it should be, as much as it should be, and the same where a run continues. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate, type Model, train, type TrainOptions } from '@onnx-lora/sdk';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { readTensor } from '@onnx-lora/sdk/plugin';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBigrams, TOKENS, WIDTH } from '../../fixtures/bigrams.ts';
import { chat } from './chat.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-noise-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
/** The matrix from embeddings to logits: `[WIDTH, TOKENS]`. */
let behind: number[][];
let table: ArrayLike<number>;
beforeAll(async () => {
  model = await openBigrams(join(folder, 'model'));
  const weights = model.onnx.model.graph.initializer!.map((each) => readTensor(each));
  const of = (...dims: number[]): ArrayLike<number> => weights.find((each) => each.dims.join() === dims.join())!.data as Float32Array; // prettier-ignore
  table = of(TOKENS, WIDTH);
  const [inner, head] = [of(WIDTH, WIDTH), of(WIDTH, TOKENS)];
  const range = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
  behind = range(WIDTH).map((i) =>
    range(TOKENS).map((t) => range(WIDTH).reduce((sum, k) => sum + inner[i * WIDTH + k]! * head[k * TOKENS + t]!, 0)),
  );
});

const data = Array.from({ length: 10 }, (_, i) => ({ prompt: `Number ${i}?`, completion: i % 2 === 0 ? ' yes' : ' no, never' })); // prettier-ignore
const lora = { targetModules: ['up_proj'], r: 2 };

test('is added to the embeddings of tokens that are trained on', async () => {
  const prepared = await chat(data, { neftune: 8, seed: 3 }).prepare(model);
  const { inputs, targets } = await prepared.collate([await prepared.train.get(0, 4), await prepared.train.get(1, 5)]);
  const { dims, data: drawn } = targets['noise']! as { dims: readonly number[]; data: Float32Array };
  const length = dims[1]!;
  const counts = [prepared.train.lengths![0]!, prepared.train.lengths![1]!];
  for (const [row, count] of counts.entries()) {
    const own = drawn.subarray(row * length * WIDTH, (row + 1) * length * WIDTH);
    const most = 8 / Math.sqrt(count * WIDTH);
    const given = own.subarray(0, count * WIDTH);
    expect(Math.max(...given.map(Math.abs))).toBeLessThanOrEqual(most);
    // The uniform distribution from −a to a has the standard deviation a / √3.
    const deviation = Math.sqrt(given.reduce((sum, each) => sum + each ** 2, 0) / given.length);
    expect(Math.abs(deviation / most - 1 / Math.sqrt(3))).toBeLessThan(0.1);
    expect(own.subarray(count * WIDTH).every((each) => each === 0)).toBe(true);
  }
  // The same draw has the same noise, whatever else is in the batch; another draw has another.
  const alone = await prepared.collate([await prepared.train.get(1, 5)]);
  expect((alone.targets['noise']!.data as Float32Array).subarray(0, counts[1]! * WIDTH)).toEqual(drawn.slice(length * WIDTH, (length + counts[1]!) * WIDTH)); // prettier-ignore
  const later = await prepared.collate([await prepared.train.get(1, 6)]);
  expect(later.targets['noise']!.data).not.toEqual(alone.targets['noise']!.data);

  let [sum, learned] = [0, 0];
  for (let row = 0; row < 2; row++)
    for (let at = 0; at < length; at++) {
      const label = Number(targets['labels']!.data[row * length + at]);
      if (label < 0) continue;
      const id = Number(inputs['input_ids']!.data[row * length + at]);
      const scores = Array<number>(TOKENS).fill(0);
      for (let i = 0; i < WIDTH; i++) {
        const value = table[id * WIDTH + i]! + drawn[(row * length + at) * WIDTH + i]!;
        behind[i]!.forEach((each, t) => (scores[t]! += value * each));
      }
      sum += Math.log(scores.reduce((total, each) => total + Math.exp(each), 0)) - scores[label]!;
      learned++;
    }
  const placed = await model.place((await (await train(model, { task: chat(data), steps: 1, lr: 1e-9, lora, threads: 1 })).done).adapter); // prettier-ignore
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, wanted) => prepared.loss(g, outputs, wanted),
    inside: prepared.inside!,
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (ports) => ParameterSet.of(placed, ports),
    name: 'bigrams',
  });
  try {
    expect((await trainer.lossAndGradients(inputs, targets)).loss).toBeCloseTo(sum / learned, 4);
    const { noise: _, ...others } = targets;
    const still = await trainer.lossAndGradients(inputs, others);
    expect(Math.abs(still.loss - sum / learned)).toBeGreaterThan(1e-3);
  } finally {
    await trainer.release();
  }
});

test('is the same where a run continues, and is not there where the model is measured', async () => {
  const task = chat(data, { neftune: 8, validation: 0.3 });
  const asked: TrainOptions = { task, steps: 6, batchSize: 3, lr: 0.05, lora, threads: 1 };
  const bytes = ({ tensors }: { tensors: ReadonlyMap<string, { data: unknown }> }): unknown[] => [...tensors].map(([, { data: each }]) => each); // prettier-ignore
  const whole = await (await train(model, asked)).done;
  const checkpoints = { folder: join(folder, 'run'), every: 2 };
  await (
    await train(model, { ...asked, checkpoints, stopAfter: 3 })
  ).done;
  const rest = await (await train(model, { ...asked, checkpoints, resume: true })).done;
  expect(bytes(rest.adapter)).toEqual(bytes(whole.adapter));
  const plain = chat(data, { validation: 0.3 });
  expect(bytes((await (await train(model, { ...asked, task: plain })).done).adapter)).not.toEqual(bytes(whole.adapter));
  const { adapter } = whole;
  const [noisy, still] = [await evaluate(model, { task, adapter, threads: 1 }), await evaluate(model, { task: plain, adapter, threads: 1 })]; // prettier-ignore
  expect(noisy.metrics).toEqual(still.metrics);
});

test('asks for a model that shows its embeddings', async () => {
  expect(model.lookupOf('input_ids')).toMatchObject({ name: 'embeddings', type: 'float32' });
  expect(model.lookupOf('attention_mask')).toBeUndefined();
  const { name, folder: own, inputs, outputs } = model;
  await expect(chat(data, { neftune: 5 }).prepare({ name, folder: own!, inputs, outputs })).rejects.toThrow(/shows no embeddings/); // prettier-ignore
});
