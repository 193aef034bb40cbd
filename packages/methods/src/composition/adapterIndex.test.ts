/** @file Indices of adapters: choices by hand and by scikit-learn, files, and a batch of rows against a loop over them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, float32, loadAdapter, openModel, type RowAdapter, type Tensor, tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, describe, expect, it } from 'vitest';
import { AdapterIndex } from './adapterIndex.ts';

const fixtures = path.join(import.meta.dirname, '../../fixtures');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-index-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const rows = (...all: readonly (readonly number[])[]): Tensor => float32(all.flat(), [all.length, all[0]!.length]);

/** Means at (0, 1), (4, 0) and (0, 9), and Euclid's distance. */
const index = AdapterIndex.of({ near: rows([0, 0], [0, 2]), right: rows([4, 0]), far: rows([1, 9], [-1, 9], [0, 9]) }, { shrinkage: 1 }); // prettier-ignore

it('chooses the adapter of the nearest mean', () => {
  expect(index.names).toEqual(['near', 'right', 'far']);
  // (2.2, 0) is 2.42 from (0, 1) and 1.8 from (4, 0).
  expect(index.choose(rows([0, 1], [2.2, 0], [0, 5.5], [0, 4.5]))).toEqual(['near', 'right', 'far', 'near']);
});

it.each([0.1, 0.5])(
  'finds adapters as likely as linear discriminant analysis does, shrunk by %d',
  async (shrinkage) => {
    const { tensors } = await readSafetensors(path.join(fixtures, 'adapterIndex/adapterIndex.safetensors'));
    const names = ['a', 'b', 'c'];
    const own = AdapterIndex.of(Object.fromEntries(names.map((name) => [name, tensors.get(`examples.${name}`)!])), { shrinkage }); // prettier-ignore
    const likely = tensors.get(`${shrinkage}.likely`)!.data as Float32Array;
    const found = own.choose(tensors.get('inputs')!, { topK: 3, temperature: 1 }) as Record<string, number>[];
    found.forEach((each, row) => {
      names.forEach((name, i) => expect(each[name]).toBeCloseTo(likely[3 * row + i]!, 5)); // prettier-ignore
    });
  },
);

it('blends the best, evenly by default', () => {
  expect(index.choose(rows([1, 1]), { topK: 2 })).toEqual([{ near: 0.5, right: 0.5 }]);
  expect(index.choose(rows([1, 1]), { topK: 9 })).toEqual([{ near: 1 / 3, right: 1 / 3, far: 1 / 3 }]);
});

it('of one example each measures as Euclid does', () => {
  expect(AdapterIndex.of({ a: rows([0, 0]), b: rows([2, 0]) }).choose(rows([0.9, 5], [1.1, -5]))).toEqual(['a', 'b']);
});

it('is a file of safetensors', async () => {
  const file = path.join(scratch, 'adapters.safetensors');
  await index.save(file);
  const { tensors, metadata } = await readSafetensors(file);
  expect(metadata).toEqual({ format: 'onnx-lora adapter index 1', adapters: '["near","right","far"]' });
  expect([...tensors].map(([name, { dims }]) => [name, ...dims])).toEqual([['biases', 3], ['weights', 3, 2]]); // prettier-ignore
  const loaded = await AdapterIndex.load(file);
  const options = { topK: 2, temperature: 1 };
  const inputs = rows([0, 1], [2.2, 0], [0, 5.5], [0, 4.5]);
  expect(loaded.choose(inputs, options)).toEqual(index.choose(inputs, options));
});

describe('refuses', () => {
  const right = { weights: rows([1, 2]), biases: float32([1], [1]) };
  it.each<[string, Record<string, Tensor>, Record<string, string>?]>([
    ['another format', right, { format: 'pt' }],
    ['names that are no JSON', right, { adapters: 'a' }],
    ['no names', right, { adapters: '[]' }],
    ['names that are none', right, { adapters: '[1]' }],
    ['more names than rows', right, { adapters: '["a", "b"]' }],
    ['no biases', { weights: right.weights }],
    ['biases of another size', { ...right, biases: float32([1, 2], [2]) }],
    ['weights without features', { ...right, weights: float32([], [1, 0]) }],
    ['other numbers', { ...right, weights: tensor('float64', Float64Array.of(1), [1, 1]) }],
    ['numbers that are none', { ...right, weights: rows([NaN]) }],
  ])('a file with %s', async (_, tensors, metadata = {}) => {
    const file = path.join(scratch, 'bad.safetensors');
    const whole = { format: 'onnx-lora adapter index 1', adapters: '["a"]' };
    await writeSafetensors(file, new Map(Object.entries(right)), whole);
    expect((await AdapterIndex.load(file)).names).toEqual(['a']);
    await writeSafetensors(file, new Map(Object.entries(tensors)), { ...whole, ...metadata });
    await expect(AdapterIndex.load(file)).rejects.toThrow(/bad.safetensors" is no index of adapters: expected are the metadata .* found .*"format":/); // prettier-ignore
  });

  it.each<[string, () => unknown, RegExp]>([
    ['no adapters', () => AdapterIndex.of({}), /it names no adapter/],
    [
      'an adapter without examples',
      () => AdapterIndex.of({ a: float32([], [0, 3]) }),
      /"a" is float32 \[0, 3\], not float32 \[rows, width\]/,
    ],
    [
      'features of other widths',
      () => AdapterIndex.of({ a: rows([1]), b: rows([1, 2]) }),
      /"b" has 2 features, and 1 are expected/,
    ],
    ['numbers that are none', () => AdapterIndex.of({ a: rows([NaN]) }), /"a" has numbers that are not finite/],
    ['no shrinkage', () => AdapterIndex.of({ a: rows([1]) }, { shrinkage: 0 }), /shrinkage must be a number above 0/],
    ['inputs of another width', () => index.choose(rows([1, 2, 3])), /"inputs" has 3 features, and 2 are expected/],
    ['no adapter to choose', () => index.choose(rows([1, 2]), { topK: 0 }), /topK must be a whole number/],
    [
      'a temperature of none',
      () => index.choose(rows([1, 2]), { temperature: 0 }),
      /temperature must be a number above 0/,
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});

it.each([1, 2])('%i of them serve a batch as they serve its rows one by one', async (topK) => {
  const folder = path.join(fixtures, 'arrow');
  const names = ['task_0', 'task_1', 'task_2'];
  const adapters = Object.fromEntries(await Promise.all(names.map(async (name): Promise<[string, Adapter]> => [name, await loadAdapter(path.join(folder, name))]))); // prettier-ignore
  const own = AdapterIndex.of(Object.fromEntries(names.map((name, i) => [name, rows([i, 0])])));
  const choices: RowAdapter[] = own.choose(rows([2, 0], [0.2, 1], [0.9, 0]), { topK });
  const half = (...two: readonly string[]): RowAdapter => Object.fromEntries(two.map((name) => [name, 0.5]));
  expect(choices).toEqual(topK === 1 ? ['task_2', 'task_0', 'task_1'] : [half('task_2', 'task_1'), half('task_0', 'task_1'), half('task_1', 'task_0')]); // prettier-ignore
  const model = await openModel(path.join(folder, 'model.onnx'));
  const { data } = (await readSafetensors(path.join(folder, 'base.safetensors'))).tensors.get('x')!;
  await using session = await model.session({ adapters, threads: 1 });
  const run = async (x: Tensor, adapter: RowAdapter | RowAdapter[]): Promise<number[]> => Array.from((await session.run({ x }, { adapter }))['logits']!.data as Float32Array); // prettier-ignore
  const together = await run(float32(data as Float32Array, [3, 5, 8]), choices);
  for (const [i, adapter] of choices.entries()) {
    const alone = await run(float32((data as Float32Array).slice(40 * i, 40 * (i + 1)), [1, 5, 8]), adapter);
    alone.forEach((value, at) => {
      expect(together[3 * i + at]).toBeCloseTo(value, 5);
    });
  }
});
