/** @file Attention in shifted groups, as torch computes it and as a mask on all scores would have it. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildPlugin } from '@onnx-lora/build';
import { type Adapter, float32, int64, loadAdapter, type Model, openModel } from '@onnx-lora/sdk';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { crossEntropy, type PreparedTask } from '@onnx-lora/sdk/tasks';
import { randomAdapter } from '@onnx-lora/testing';
import { chat, textPlugin } from '@onnx-lora/text';
import { describe, expect, test } from 'vitest';
import { letters } from '../packages/sequences/src/fixtures/letters.ts';
import { attentionsOf } from '../packages/text/src/attention/attentions.ts';
import { groupedAttention } from '../packages/text/src/attention/groupedAttention.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const shared = path('../../../shared/');
const open = (folder: string): Promise<Model> => openModel(folder, { plugins: [textPlugin, buildPlugin] });
const llama = path('../packages/build/fixtures/llama');

interface Golden {
  readonly ids: readonly (readonly number[])[];
  readonly cases: readonly { readonly group: number; readonly loss: number; readonly norms: Readonly<Record<string, number>> }[]; // prettier-ignore
}
const golden = JSON.parse(readFileSync(path('./fixtures/longlora/golden.json'), 'utf8')) as Golden;

/** Loss and gradients where each token learns the next, the first `learned` ones alone. */
async function computed(
  model: Model,
  adapter: Adapter,
  inside: NonNullable<PreparedTask['inside']>,
  ids: Golden['ids'],
  learned = Infinity,
) {
  // prettier-ignore
  const dims = [ids.length, ids[0]!.length];
  const of = (value: (row: readonly number[], at: number) => number) => int64(ids.flatMap((row) => row.map((_, at) => value(row, at))), dims); // prettier-ignore
  const all = { input_ids: of((row, at) => row[at]!), attention_mask: of(() => 1), position_ids: of((_, at) => at) };
  const inputs = Object.fromEntries(Object.entries(all).filter(([name]) => name in model.inputs));
  const labels = of((row, at) => (at < learned ? (row[at + 1] ?? -100) : -100));
  const placed = await model.place(adapter);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!, { countedOnly: true }),
    inside,
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (ports) => ParameterSet.of(placed, ports),
    name: model.name,
  });
  try {
    const { loss, gradients } = await trainer.lossAndGradients(inputs, { labels });
    const own = trainer.parameters!.all.map((each) => ({ ...each, value: gradients.get(each.input.name)! }));
    return { loss, tensors: new ParameterSet(own).tensors() };
  } finally {
    await trainer.release();
  }
}

describe('attention in groups', () => {
  test.each(golden.cases)('of $group tokens is what torch and PEFT compute', async ({ group, loss, norms }) => {
    const model = await open(llama);
    const inside = group === 0 ? {} : groupedAttention(model, group);
    const found = await computed(model, await loadAdapter(`${llama}/adapter`), inside, golden.ids);
    expect(found.loss).toBeCloseTo(loss, 5);
    expect([...found.tensors.keys()].sort()).toEqual(Object.keys(norms).sort());
    for (const [name, { data }] of found.tensors) {
      const norm = Math.hypot(...(data as Float32Array));
      expect(Math.abs(norm - norms[name]!) / norms[name]!, name).toBeLessThan(1e-4);
    }
  });

  const graphs = [
    ...['gpt2', 'gpt_neox', 'gemma2'].map(
      (name) => [`built/${name}`, path(`../packages/build/fixtures/${name}`)] as const,
    ),
    ...(existsSync(shared) ? ['cases/llama-v5', 'cases/gpt2-v4', 'models/llama-tiny', 'models/gpt2-tiny'].map((name) => [name, shared + name.replace('cases', 'oracle/cases')] as const) : []), // prettier-ignore
  ];
  test.each(graphs)('is all attention with what is outside hidden, in %s', async (_, folder) => {
    const model = await open(folder);
    const adapter = await randomAdapter(model, { lora: { r: 4, targetModules: 'all-linear' } });
    const ids = golden.ids.map((row) => row.slice(0, 16).map((id) => id % 30));
    const [size, length] = [4, 16];
    const groupOf = (at: number, shift: number): number => Math.floor(((at - shift + length) % length) / size);
    const hidden: NonNullable<PreparedTask['inside']> = Object.fromEntries(
      attentionsOf(model, 'A test').map(({ scores }) => [
        scores,
        (g, own) => {
          const heads = own.shape![1] as number;
          const bias = Array.from({ length: heads * length * length }, (_, i) => {
            const [head, query, key] = [Math.floor(i / length ** 2), Math.floor(i / length) % length, i % length];
            const shift = head < Math.floor(heads / 2) ? 0 : size / 2;
            return groupOf(query, shift) === groupOf(key, shift) ? 0 : -1e4;
          });
          return g.Add(own, g.constant(float32(bias, [1, heads, length, length])));
        },
      ]),
    );
    const expected = await computed(model, adapter, hidden, ids);
    const found = await computed(model, adapter, groupedAttention(model, size), ids);
    const whole = await computed(model, adapter, {}, ids);
    expect(found.loss).toBeCloseTo(expected.loss, 5);
    expect(Math.abs(whole.loss - expected.loss)).toBeGreaterThan(1e-4);
    for (const [name, { data }] of expected.tensors) {
      const [other, most] = [found.tensors.get(name)!.data, Math.max(...(data as Float32Array).map(Math.abs))];
      expect(Math.max(...(data as Float32Array).map((each, i) => Math.abs(each - Number(other[i])))), name).toBeLessThan(1e-4 * most + 1e-8); // prettier-ignore
    }
  });

  test('reads no later tokens, and of one group is all attention', async () => {
    const model = await open(llama);
    const adapter = await randomAdapter(model);
    const other = golden.ids.map((row) => row.map((id, at) => (at < 15 ? id : 63 - id)));
    const inside = groupedAttention(model, 8);
    // One of the shifted groups has the tokens 20 to 23 and 0 to 3.
    const [one, two] = [await computed(model, adapter, inside, golden.ids, 14), await computed(model, adapter, inside, other, 14)]; // prettier-ignore
    expect(two.loss).toBe(one.loss);
    const [whole, group] = [await computed(model, adapter, {}, golden.ids), await computed(model, adapter, groupedAttention(model, 24), golden.ids)]; // prettier-ignore
    expect(group.loss).toBe(whole.loss);
  });
});

describe('chat in groups', () => {
  const words = [{ text: 'ABCDEFGHI' }, { text: 'LMNO' }, { prompt: 'PQRSTUVWXYZABCDEFGH', completion: 'IJKL' }];

  test('has rows of whole groups in training, and of all lengths elsewhere', async () => {
    const model = await open(llama);
    const prepared = await chat(words, { tokenizer: letters, attentionGroups: 6, maxLength: 20 }).prepare(model);
    expect(Math.max(...prepared.train.lengths!)).toBe(18);
    const batch = async (place: number, draw?: number) => (await prepared.collate([await prepared.train.get(place, draw)])).inputs; // prettier-ignore
    const { attention_mask: mask } = await batch(0, 0);
    expect([mask!.dims, new Set(Array.from<number | bigint>(mask!.data))]).toEqual([[1, 12], new Set([1n])]);
    expect((await batch(1, 0))['input_ids']!.dims[1]).toBeLessThanOrEqual(6);
    expect((await batch(0))['input_ids']!.dims[1]).toBeLessThan(12);
  });

  test('refuses groups that do not fit', async () => {
    const model = await open(llama);
    const prepared = (options: object) => chat(words, { tokenizer: letters, maxLength: 20, ...options }).prepare(model);
    await expect(prepared({ attentionGroups: 5 })).rejects.toThrow(/an even number of tokens, at most half of maxLength, 20/); // prettier-ignore
    await expect(prepared({ attentionGroups: 12 })).rejects.toThrow(/at most half/);
    await expect(prepared({ attentionGroups: 4, packing: true })).rejects.toThrow(/not trained in groups/);
  });
});
