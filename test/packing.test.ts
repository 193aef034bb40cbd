/** @file Conversations that are packed into rows give the loss and the gradients of the same ones in rows of their own. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildPlugin } from '@onnx-lora/build';
import { type Adapter, type Model, openModel } from '@onnx-lora/sdk';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import type { Batch, PreparedTask } from '@onnx-lora/sdk/tasks';
import { randomAdapter } from '@onnx-lora/testing';
import { chat, type ChatOptions, type GivenConversation, textPlugin } from '@onnx-lora/text';
import { describe, expect, test } from 'vitest';
import { letters } from '../packages/sequences/src/fixtures/letters.ts';

const folder = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const shared = folder('../../../shared/');
const open = (path: string): Promise<Model> => openModel(path, { plugins: [textPlugin, buildPlugin] });

const words: readonly GivenConversation[] = [
  { prompt: 'ABC', completion: 'DE' },
  { prompt: 'FGHIJ', completion: 'KLMNO' },
  { prompt: 'P', completion: 'Q' },
  { text: 'RSTUVWX' },
  { prompt: 'YZA', completion: 'BBBCD' },
];

type Prepared = PreparedTask<unknown>;
const prepare = async (model: Model, data: readonly GivenConversation[], options: ChatOptions): Promise<Prepared> =>
  (await chat(data, options).prepare(model)) as Prepared;

async function batchOf(prepared: Prepared, rows = prepared.train.length): Promise<Batch> {
  const places = Array.from({ length: rows }, (_, i) => i);
  return prepared.collate(await Promise.all(places.map((i) => prepared.train.get(i, i))));
}

async function trainerOf(
  model: Model,
  adapter: Adapter,
  prepared: Prepared,
  runtime = model.runtime,
): Promise<Trainer> {
  const placed = await model.place(adapter);
  return new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, wanted) => prepared.loss(g, outputs, wanted),
    lossWeight: (wanted) => prepared.lossWeight!(wanted),
    inside: prepared.inside!,
    runtime,
    session: { threads: 1 },
    parameters: (ports) => ParameterSet.of(placed, ports),
    name: model.name,
  });
}

interface Computed {
  readonly loss: number;
  readonly gradients: Float32Array;
}

async function gradientsOf(trainer: Trainer, { inputs, targets }: Batch): Promise<Computed> {
  const { loss, gradients } = await trainer.lossAndGradients(inputs, targets);
  return { loss, gradients: Float32Array.from([...gradients.values()].flatMap((each) => [...each])) };
}

async function computed(model: Model, adapter: Adapter, prepared: Prepared, batch: Batch): Promise<Computed> {
  const trainer = await trainerOf(model, adapter, prepared);
  try {
    return await gradientsOf(trainer, batch);
  } finally {
    await trainer.release();
  }
}

/** The largest difference, as a part of the largest of the second. */
const furthest = (some: Float32Array, others: Float32Array): number =>
  some.reduce((most, each, i) => Math.max(most, Math.abs(each - others[i]!)), 0) /
  others.reduce((most, each) => Math.max(most, Math.abs(each)), 0);

async function expectSame(model: Model, data: readonly GivenConversation[], options: ChatOptions): Promise<void> {
  const adapter = await randomAdapter(model, { lora: { r: 4, targetModules: 'all-linear' } });
  const [single, packed] = [await prepare(model, data, options), await prepare(model, data, { ...options, packing: true })]; // prettier-ignore
  const alone = await batchOf(single);
  const { inputs, targets } = await batchOf(packed);
  const [rows, length] = inputs['input_ids']!.dims as [number, number];
  expect(rows).toBeLessThan(alone.inputs['input_ids']!.dims[0]!);
  expect(length).toBeLessThanOrEqual(options.maxLength!);
  const expected = await computed(model, adapter, single, alone);
  const found = await computed(model, adapter, packed, { inputs, targets });
  expect(Math.abs(found.loss - expected.loss)).toBeLessThan(1e-5);
  expect(furthest(found.gradients, expected.gradients)).toBeLessThan(1e-5);
  // One text that all of the row is part of has another loss.
  const { segments, ...others } = targets;
  expect(segments!.dims).toEqual([rows, length]);
  const leaking = await computed(model, adapter, packed, { inputs, targets: others });
  expect(furthest(leaking.gradients, expected.gradients)).toBeGreaterThan(1e-3);
}

describe('packed conversations have the gradients of single ones', () => {
  test.each(['llama', 'gpt2', 'gpt_neox', 'gemma2'])('in a graph of the checkpoint %s', async (name) => {
    await expectSame(await open(folder(`../packages/build/fixtures/${name}`)), words, { tokenizer: letters, maxLength: 20 }); // prettier-ignore
  });

  test.skipIf(!existsSync(shared)).each([
    ['models/llama-tiny', {}],
    ['models/gpt2-tiny', {}],
    ['oracle/cases/llama-v5', { tokenizer: letters }],
  ] as const)('in the export %s (needs ../shared beside the checkout)', async (path, options) => {
    await expectSame(await open(`${shared}${path}`), words, { ...options, maxLength: 32 });
  });
});

test('packed rows of all lengths have one graph, with the same bits', async () => {
  const model = await open(folder('../packages/build/fixtures/llama'));
  const adapter = await randomAdapter(model, { lora: { r: 4, targetModules: ['q_proj', 'down_proj'] } });
  const options = { tokenizer: letters, packing: true };
  const prepared = await Promise.all([20, 18, 16, 14, 20].map((maxLength) => prepare(model, words, { ...options, maxLength }))); // prettier-ignore
  const batches = await Promise.all(prepared.map((each) => batchOf(each, 2)));
  expect(new Set(batches.map(({ inputs }) => inputs['input_ids']!.dims.join())).size).toBeGreaterThan(2);
  let loaded = 0;
  const counting = new Proxy(model.runtime, {
    get: (runtime, name) => {
      if (name === 'createSession') loaded++;
      const member: unknown = Reflect.get(runtime, name);
      return typeof member === 'function' ? (member.bind(runtime) as unknown) : member;
    },
  });
  const trainer = await trainerOf(model, adapter, prepared[0]!, counting);
  try {
    for (const batch of batches)
      expect(await gradientsOf(trainer, batch)).toEqual(await computed(model, adapter, prepared[0]!, batch));
  } finally {
    await trainer.release();
  }
  expect(loaded).toBe(2);
});

test('other graphs are refused with a reason', async () => {
  const model = await open(folder('../packages/build/fixtures/llama'));
  const { model: onnx } = model.onnx;
  const other = (opType: string): Model =>
    model.derived({ model: { ...onnx, graph: { ...onnx.graph, node: onnx.graph.node!.map((node) => (node.opType === 'Softmax' ? { ...node, opType } : node)) } } }); // prettier-ignore
  const packed = async (on: Model): Promise<Prepared> => prepare(on, words, { tokenizer: letters, packing: true });
  await expect(packed(other('GroupQueryAttention'))).rejects.toThrow(/its attention is the one operator GroupQueryAttention/); // prettier-ignore
  await expect(packed(other('Conv'))).rejects.toThrow(/learn of each other by Conv as well/);
  await expect(packed(other('Sigmoid'))).rejects.toThrow(/no Softmax between products/);
});

test.skipIf(!existsSync(shared))('a graph that counts learned positions itself is refused', async () => {
  const model = await open(`${shared}oracle/cases/gpt2-v4`);
  await expect(prepare(model, words, { tokenizer: letters, packing: true })).rejects.toThrow(/no input position_ids, and its positions are not rotary/); // prettier-ignore
});
