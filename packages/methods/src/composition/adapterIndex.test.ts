/** @file Indices of adapters: centres and choices by hand, files, and a batch of rows against a loop over them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, float32, loadAdapter, openModel, type RowAdapter, type Tensor, tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, describe, expect, it } from 'vitest';
import { AdapterIndex } from './adapterIndex.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-index-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const rows = (...all: readonly (readonly number[])[]): Tensor => float32(all.flat(), [all.length, all[0]!.length]);

/** Centres at (0, 1), (4, 0) and (0, 9). */
const index = AdapterIndex.of({ near: rows([0, 0], [0, 2]), right: rows([4, 0]), far: rows([1, 9], [-1, 9], [0, 9]) });

it('chooses the adapter of the nearest mean', () => {
  expect(index.names).toEqual(['near', 'right', 'far']);
  // (2.2, 0) is 2.42 from (0, 1) and 1.8 from (4, 0).
  expect(index.choose(rows([0, 1], [2.2, 0], [0, 5.5], [0, 4.5]))).toEqual(['near', 'right', 'far', 'near']);
});

it('blends the nearest, evenly or by how near they are', () => {
  const inputs = rows([1, 1]);
  expect(index.choose(inputs, { topK: 2 })).toEqual([{ near: 0.5, right: 0.5 }]);
  // Squares of distances are 1 and 10.
  const [{ near, right, far }] = index.choose(inputs, { topK: 3, temperature: 4 }) as [Record<string, number>];
  const powers = [1, 10, 65].map((square) => Math.exp(-square / 4));
  [near, right, far].forEach((weight, i) => {
    expect(weight).toBeCloseTo(powers[i]! / powers.reduce((sum, each) => sum + each), 6);
  });
  expect(index.choose(inputs, { topK: 9 })).toEqual([{ near: 1 / 3, right: 1 / 3, far: 1 / 3 }]);
});

it('with several centres knows an adapter of two kinds of examples', () => {
  const examples = { two: rows([0, 0], [0, 1], [20, 0], [20, 1]), one: rows([10, 0], [10, 1], [11, 0], [11, 1]) };
  const inputs = rows([19, 0], [1, 0], [10, 0]);
  // Both means are at about (10, 0.5).
  expect(AdapterIndex.of(examples).choose(rows([10.1, 0.5]))).toEqual(['two']);
  expect(AdapterIndex.of(examples, { centres: 2 }).choose(inputs)).toEqual(['two', 'two', 'one']);
});

it('is a file of safetensors', async () => {
  const file = path.join(scratch, 'adapters.safetensors');
  await index.save(file);
  const { tensors, metadata } = await readSafetensors(file);
  expect(metadata).toEqual({ format: 'onnx-lora adapter index 1' });
  expect(tensors.get('far')).toEqual(rows([0, 9]));
  const loaded = await AdapterIndex.load(file);
  const inputs = rows([0, 1], [2.2, 0], [0, 5.5], [0, 4.5]);
  expect(loaded.choose(inputs, { topK: 2, temperature: 1 })).toEqual(index.choose(inputs, { topK: 2, temperature: 1 }));
});

describe('refuses', () => {
  const write = async (tensors: Record<string, Tensor>, format = 'onnx-lora adapter index 1'): Promise<string> => {
    const file = path.join(scratch, 'bad.safetensors');
    await writeSafetensors(file, new Map(Object.entries(tensors)), { format });
    return file;
  };

  it.each<[string, () => Promise<string>, RegExp]>([
    ['another file', () => write({ a: rows([1]) }, 'pt'), /is no index of adapters: its metadata do not say/],
    ['a file without adapters', () => write({}), /it names no adapter/],
    [
      'centres of other widths',
      () => write({ a: rows([1]), b: rows([1, 2]) }),
      /"b" has 2 features, and another has 1/,
    ],
    ['an adapter without centres', () => write({ a: float32([], [0, 3]) }), /"a" has 0 rows, less than 1/],
    [
      'other numbers',
      () => write({ a: tensor('float64', Float64Array.of(1), [1, 1]) }),
      /"a" is float64 \[1, 1\], not float32/,
    ],
    ['numbers that are none', () => write({ a: rows([NaN]) }), /"a" has numbers that are not finite/],
  ])('%s', async (_, make, message) => {
    await expect(make().then((file) => AdapterIndex.load(file))).rejects.toThrow(message);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'fewer examples than centres',
      () => AdapterIndex.of({ a: rows([1]) }, { centres: 2 }),
      /"a" has 1 rows, less than 2/,
    ],
    ['half a centre', () => AdapterIndex.of({ a: rows([1]) }, { centres: 0.5 }), /centres of AdapterIndex must be/],
    ['inputs of another width', () => index.choose(rows([1, 2, 3])), /centres of 2 features, and the inputs have 3/],
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
  const folder = path.join(import.meta.dirname, '../../fixtures/arrow');
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
