/** @file Queries, keys and values that are one layer of a graph: an adapter of the model that has three acts as in that one. */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  exportWithInputs,
  float32,
  type LoraOptions,
  merge,
  type Model,
  openModel,
  type Tensor,
  unmerge,
} from '@onnx-lora/sdk';
import { parseOrtAdapter } from '@onnx-lora/sdk/core';
import { openOnnx, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { conformance, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { caseFolders } from './support/caseFolders.ts';
import { runOnce } from './support/graphs.ts';
import { packAttention, type PackedForm, packedForms } from './support/packAttention.ts';

const folders = new Map(caseFolders());
const heads = 4;
const attention = 'vit.encoder.layer.0.attention.attention';
let scratch = '';

beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-packed-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** A case whose model has its projections joined; all that PEFT says of the model that has three layers stays. */
async function packedCase(name: string, form: PackedForm): Promise<string> {
  const folder = path.join(scratch, `${name}-${form}`);
  const source = folders.get(name)!;
  cpSync(source, folder, { recursive: true });
  const model = await openModel(path.join(source, 'model.onnx'));
  writeOnnx(path.join(folder, 'model.onnx'), packAttention(model.onnx.model, model.sites(), form, heads));
  return folder;
}

const openPacked = async (form: PackedForm): Promise<Model> =>
  openModel(path.join(await packedCase('vit-v4', form), 'model.onnx'));
const openSplit = (): Promise<Model> => openModel(path.join(folders.get('vit-v4')!, 'model.onnx'));

const pixels = (rows: number): Tensor =>
  float32(Array.from({ length: rows * 3 * 32 * 32 }, (_, i) => Math.sin(i * 0.37) + ((i * 7919) % 13) / 13), [rows, 3, 32, 32]); // prettier-ignore

/** The largest difference of two tensors, relative to the largest number of the second. */
function difference(found: Tensor, wanted: Tensor): number {
  const [a, b] = [found.data as Float32Array, wanted.data as Float32Array];
  expect(a.length).toBe(b.length);
  const most = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0) / most;
}

async function logits(model: Model, adapter: Adapter | null, input: Tensor): Promise<Tensor> {
  const session = await model.session(adapter ? { adapters: { adapter } } : {});
  try {
    return (await session.run({ pixel_values: input }, adapter ? { adapter: 'adapter' } : {}))['logits']!;
  } finally {
    await session.release();
  }
}

describe("PEFT's adapter of the model with three layers", () => {
  it.each(packedForms)('acts, trains and merges as in that, joined as %s', async (form) => {
    const folder = await packedCase('vit-v4', form);
    const model = await openModel(path.join(folder, 'model.onnx'));
    const parts = model.modules().filter(({ partOf }) => partOf !== undefined);
    expect(parts).toHaveLength(6);
    expect(parts.slice(0, 3)).toMatchObject(
      ['query', 'key', 'value'].map((name) => ({
        path: `${attention}.${name}`,
        kind: 'linear',
        weightShape: [32, 32],
        bias: true,
        parameters: 32 * 33,
        confidence: 'likely',
      })),
    );
    const { checks } = await conformance(folder);
    expect(checks.filter(({ status }) => status !== 'passed')).toEqual([]);
    expect(checks.map(({ check }) => check)).toEqual(
      expect.arrayContaining(['forward', 'gradients', 'train', 'merge']),
    );
  });

  it("does so where an optimizer has joined T5's, which have no bias, and no name is left", async () => {
    const folder = await packedCase('t5-encoder-v5', 'unnamed');
    const model = await openModel(path.join(folder, 'model.onnx'));
    expect(model.modules().slice(1, 4)).toMatchObject(['q', 'k', 'v'].map((name) => ({ path: `encoder.block.0.layer.0.SelfAttention.${name}`, pathSource: 'structure' }))); // prettier-ignore
    const { checks } = await conformance(folder);
    expect(checks.filter(({ status }) => status === 'failed')).toEqual([]);
  });

  it.each(['split', 'heads'] as const)('does so with DoRA, joined as %s', async (form) => {
    const { checks } = await conformance(await packedCase('vit-dora-v4', form));
    expect(checks.filter(({ status }) => status !== 'passed')).toEqual([]);
  });
});

describe.each(['stacked', 'heads', 'gemm'] as const)('adapters of parts, joined as %s', (form) => {
  const lora = (targetModules: string[], others: LoraOptions = {}): LoraOptions => ({ r: 3, targetModules, ...others });
  /** Adapters of the split model for parts of the joined layer, and one adapter for all of it. */
  async function adapters(split: Model, packed: Model) {
    const own = {
      keys: await randomAdapter(split, { lora: lora(['key', 'value'], { loraBias: true }), seed: 2 }),
      dora: await randomAdapter(split, { lora: lora(['query', 'value'], { useDora: true }), seed: 3 }),
      queries: await randomAdapter(split, { lora: lora(['0.attention.attention.query', 'dense'], { r: 1 }), seed: 4 }),
    };
    const whole = await randomAdapter(packed, { lora: lora(['qkv']), seed: 5 });
    // The joined model has another digest, and PEFT notes none.
    const placed = Object.entries(own).map(([name, { config, tensors }]) => [name, new Adapter(config, tensors)]);
    return { own, all: { ...(Object.fromEntries(placed) as typeof own), whole } };
  }

  it('do in mixed rows what each does alone, and merged, and in the model with three layers', async () => {
    const [split, packed] = [await openSplit(), await openPacked(form)];
    const { own, all } = await adapters(split, packed);
    const names = ['keys', null, 'whole', 'dora', 'queries', 'keys'] as const;
    const input = pixels(names.length);
    const session = await packed.session({ adapters: all });
    const mixed = (await session.run({ pixel_values: input }, { adapter: [...names] }))['logits']!;
    const classes = mixed.dims[1]!;
    const base = await logits(packed, null, input);
    for (const name of new Set(names)) {
      const alone = name === null ? base : (await session.run({ pixel_values: input }, { adapter: name }))['logits']!;
      names.forEach((each, row) => {
        if (each !== name) return;
        const rowOf = ({ data }: Tensor): Tensor =>
          float32((data as Float32Array).slice(row * classes, (row + 1) * classes), [classes]);
        expect(difference(rowOf(mixed), rowOf(alone)), `${name} in row ${row}`).toBeLessThan(1e-5);
      });
      if (name === null) continue;
      expect(difference(alone, base), name).toBeGreaterThan(1e-3);
      if (name !== 'whole') expect(difference(alone, await logits(split, own[name], input)), name).toBeLessThan(1e-5);
      const file = path.join(scratch, `${form}-${name}.onnx`);
      expect(await merge(packed, all[name], file)).toMatchObject({ untied: [], beside: [] });
      expect(difference(await logits(await openModel(file), null, input), alone), name).toBeLessThan(1e-5);
    }
    await session.release();
  });

  it('go into one merged model together, and out again', async () => {
    const [split, packed] = [await openSplit(), await openPacked(form)];
    const { keys, queries, whole } = (await adapters(split, packed)).all;
    const input = pixels(2);
    const [together, back] = ['together', 'back'].map((name) => path.join(scratch, `${form}-${name}.onnx`));
    await merge(packed, [whole, keys, queries], together!);
    const session = await packed.session({ adapters: { whole, keys, queries } });
    const sum = await session.run({ pixel_values: input }, { adapter: { whole: 1, keys: 1, queries: 1 } });
    await session.release();
    const merged = await openModel(together!);
    expect(difference(await logits(merged, null, input), sum['logits']!)).toBeLessThan(1e-5);
    await unmerge(merged, [whole, keys, queries], back!);
    expect(difference(await logits(await openModel(back!), null, input), await logits(packed, null, input))).toBeLessThan(1e-5); // prettier-ignore
  });
});

it('an exported file with inputs for an adapter computes what a session does, and the base with their defaults', async () => {
  const packed = await openPacked('heads');
  const dora = await randomAdapter(packed, { lora: { r: 2, targetModules: ['query', 'value'], useDora: true } });
  const input = pixels(2);
  const { files, adapters } = await exportWithInputs(packed, { dora }, path.join(scratch, 'inputs.onnx'));
  const file = files[0]!;
  const run = async (each: string): Promise<Tensor> =>
    (await runOnce(openOnnx(each).model, { pixel_values: input }))['logits']!;
  expect(difference(await run(file), await logits(packed, null, input))).toBeLessThan(1e-5);
  const active = parseOrtAdapter(readFileSync(adapters['dora']!), adapters['dora']!);
  const { model } = openOnnx(file);
  const initializer = model.graph.initializer!.map((each) => (active.has(each.name!) ? tensorProto(each.name!, active.get(each.name!)!) : each)); // prettier-ignore
  const filled = path.join(scratch, 'filled.onnx');
  writeOnnx(filled, { ...model, graph: { ...model.graph, initializer } });
  expect(difference(await run(filled), await logits(packed, dora, input))).toBeLessThan(1e-5);
});

describe('a joined weight of 8-bit codes', () => {
  it('gets the change of a part in its own numbers, and no others', async () => {
    const packed = await openPacked('int8');
    const adapter = await randomAdapter(packed, { lora: { r: 2, targetModules: ['query', 'value'] } });
    const file = path.join(scratch, 'int8-merged.onnx');
    const { rounding } = await merge(packed, adapter, file, { requantize: true });
    expect(rounding.map(({ module, storage }) => [module.split('.').at(-1), storage]).slice(0, 2)).toEqual([['query', 'int8'], ['value', 'int8']]); // prettier-ignore
    const merged = await openModel(file);
    const keys = (model: Model): Float32Array => model.sites().flatMap(({ parts = [] }) => parts).find(({ path: own }) => own === `${attention}.key`)!.weight.stored.read(); // prettier-ignore
    expect(keys(merged)).toEqual(keys(packed));
    const input = pixels(2);
    expect(difference(await logits(merged, null, input), await logits(packed, adapter, input))).toBeLessThan(0.03);
  });
});

describe('what a part cannot have is refused', () => {
  it.each([
    ['a bias of its own', { targetModules: ['query'], bias: 'lora_only' }, 'would train the bias of'],
    ['training in full', { targetModules: ['dense'], modulesToSave: ['query'] }, 'can be trained in full only as a whole'], // prettier-ignore
    ['a start from gradients', { targetModules: ['query'], initLoraWeights: 'lora_ga' }, 'there is a gradient of that one'], // prettier-ignore
    ['a second owner', { targetModules: ['qkv', 'query'] }, 'a weight can have one adapter'],
  ] as const)('%s', async (_, lora, message) => {
    const packed = await openPacked('split');
    await expect(randomAdapter(packed, { lora: lora as LoraOptions })).rejects.toThrow(message);
  });

  it('a bias that the adapter has trained', async () => {
    const split = await openSplit();
    const biased = await randomAdapter(split, { lora: { targetModules: ['query'], bias: 'lora_only' } });
    const packed = await openPacked('split');
    await expect(packed.session({ adapters: { biased }, allowBaseMismatch: true })).rejects.toThrow('has trained a weight or bias of'); // prettier-ignore
  });
});
