/** @file Conversations become the batch, the loss, the gradients and the steps that torch, PEFT and transformers make of them. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { evaluate, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import type { Batch, PreparedTask } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { describe, expect, test } from 'vitest';
import type { GivenConversation } from '../../data/readConversations.ts';
import { textPlugin } from '../../plugin.ts';
import { chat } from './chat.ts';
import { learnedTokens } from './chatMetrics.ts';
import { NOT_LEARNED, type SftExample } from './sftRows.ts';

const shared = fileURLToPath(new URL('../../../../../../shared/', import.meta.url));
const oracle = `${shared}oracle/generate/text/llama-tiny/`;

interface Golden {
  readonly masks: readonly GivenConversation[];
  readonly train: {
    readonly loss: Readonly<Record<'base' | 'adapter', { readonly assistant: number; readonly completion: number }>>;
    readonly losses: readonly number[];
    readonly adapter_gradient_norms: Readonly<Record<string, number>>;
  };
}

const open = (): Promise<Model> => openModel(`${shared}models/llama-tiny`, { plugins: [textPlugin] });

async function batchOf(prepared: PreparedTask<SftExample>, from = 0, to = prepared.train.length): Promise<Batch> {
  const places = Array.from({ length: to - from }, (_, i) => from + i);
  return prepared.collate(await Promise.all(places.map((i) => prepared.train.get(i))));
}

/** A trainer of an adapter of the oracle. */
async function trainerOf(model: Model, prepared: PreparedTask<SftExample>, adapter: string): Promise<Trainer> {
  const placed = await model.place(await loadAdapter(`${oracle}${adapter}`));
  return new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => prepared.loss(g, outputs, targets),
    lossWeight: (targets) => prepared.lossWeight!(targets),
    optimizer: { name: 'adamw', betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name: 'llama-tiny',
  });
}

describe.skipIf(!existsSync(oracle))('beside torch (needs ../shared beside the checkout)', async () => {
  if (!existsSync(oracle)) return;
  const golden = JSON.parse(readFileSync(`${oracle}golden.json`, 'utf8')) as Golden;
  const { tensors } = await readSafetensors(`${oracle}golden.safetensors`);
  const model = await open();
  const conversations = golden.masks.map(({ messages }) => ({ messages }));
  const prepared = await chat(conversations).prepare(model);
  const { inputs, targets } = await batchOf(prepared);

  test('the batch', () => {
    for (const name of ['input_ids', 'attention_mask']) expect(inputs[name]).toEqual(tensors.get(`train.${name}`));
    const { data, dims } = tensors.get('train.labels')!;
    const [rows, length] = dims as [number, number];
    const next = Array.from({ length: data.length }, (_, i) =>
      (i + 1) % length === 0 ? NOT_LEARNED : Number(data[i + 1]),
    );
    expect(targets['labels']!.dims).toEqual([rows, length]);
    expect(Array.from(targets['labels']!.data, Number)).toEqual(next);
  });

  test('loss and gradients', async () => {
    const trainer = await trainerOf(model, prepared, 'adapter');
    try {
      const { loss, gradients, weight } = await trainer.lossAndGradients(inputs, targets);
      expect(loss).toBeCloseTo(golden.train.loss.adapter.assistant, 4);
      expect(weight).toBe(learnedTokens(targets));
      // A parameter's own way back to PEFT's layout is its gradient's, too.
      const all = trainer.parameters!.all.map((each) => ({ ...each, value: gradients.get(each.input.name)! }));
      const found = new ParameterSet(all).tensors();
      const norms = golden.train.adapter_gradient_norms;
      expect([...found.keys()].sort()).toEqual(Object.keys(norms).sort());
      for (const [name, tensor] of found) {
        expect(Math.hypot(...(tensor.data as Float32Array)), name).toBeCloseTo(norms[name]!, 4);
        const expected = tensors.get(`train.grad.${name}`);
        if (expected) expect(furthest(tensor, expected), name).toBeLessThan(1e-5);
      }
    } finally {
      await trainer.release();
    }
  });

  test('ten steps', async () => {
    const trainer = await trainerOf(model, prepared, 'init');
    try {
      for (const expected of golden.train.losses)
        expect((await trainer.step(inputs, targets, 3e-3)).loss).toBeCloseTo(expected, 4);
    } finally {
      await trainer.release();
    }
  });

  test('metrics', async () => {
    const task = chat(conversations);
    const asked = { task, batchSize: 3, threads: 1 };
    const adapter = await loadAdapter(`${oracle}adapter`);
    const adapted = await evaluate(model, { ...asked, adapter });
    expect(adapted.metrics.loss).toBeCloseTo(golden.train.loss.adapter.assistant, 4);
    const { metrics, intervals } = await evaluate(model, asked);
    const { loss, perplexity, bytePerplexity } = metrics;
    expect(loss).toBeCloseTo(golden.train.loss.base.assistant, 4);
    expect(perplexity).toBeCloseTo(Math.exp(golden.train.loss.base.assistant), 1);
    const said = golden.masks.flatMap(({ messages }) => messages!.filter(({ role }) => role === 'assistant'));
    const bytes = said.reduce((sum, { content }) => sum + Buffer.byteLength(content as string), 0);
    const tokens = prepared.lossWeight!(targets);
    expect(bytePerplexity).toBeCloseTo(Math.exp((golden.train.loss.base.assistant * tokens) / bytes), 4);
    expect(intervals!['loss']![0]).toBeLessThan(loss);
  });
});

/** The largest difference of two tensors' values. */
function furthest(a: Tensor, b: Tensor): number {
  expect(a.dims).toEqual(b.dims);
  return (a.data as Float32Array).reduce((most, value, i) => Math.max(most, Math.abs(value - Number(b.data[i]))), 0);
}
