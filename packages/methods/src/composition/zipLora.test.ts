/** @file ZipLoRA against torch's autograd and Adam on whole weights (`fixtures/zipLora/make.py`). */

import path from 'node:path';
import { Adapter, loadAdapter, tensor, type Tensor } from '@onnx-lora/sdk';
import { toHalf } from '@onnx-lora/sdk/core';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { matmul, type Matrix } from '@onnx-lora/sdk/plugin';
import { beforeAll, expect, it } from 'vitest';
import { factorsOf } from '../mixtures/factors.ts';
import { zipLora, type ZipLoraOptions } from './zipLora.ts';

const fixtures = path.join(import.meta.dirname, '../../fixtures');
let first: Adapter;
let second: Adapter;
let wanted: ReadonlyMap<string, Tensor>;
beforeAll(async () => {
  [first, second] = await Promise.all(['task_0', 'task_1'].map((name) => loadAdapter(path.join(fixtures, 'arrow', name)))) as [Adapter, Adapter]; // prettier-ignore
  ({ tensors: wanted } = await readSafetensors(path.join(fixtures, 'zipLora/zipLora.safetensors')));
});

/** s·B·A of each module. */
function changesOf(adapter: Adapter): Map<string, Matrix> {
  return new Map(
    [...factorsOf(adapter, 'zipped')].map(([module, { A, B, scaling }]) => {
      const { data, ...sizes } = matmul(B, A);
      return [module, { ...sizes, data: data.map((value) => scaling * value) }];
    }),
  );
}

function expectSame(found: ArrayLike<number>, expected: ArrayLike<number>, digits = 4): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) expect(found[i]).toBeCloseTo(expected[i]!, digits);
}

it.each([0, 0.01])('with λ %d is what torch finds', (lambda) => {
  const found = changesOf(zipLora(first, second, { lambda }));
  expect([...found.keys()].sort()).toEqual(['down', 'up']);
  for (const [module, { data }] of found) expectSame(data, wanted.get(`${lambda}.${module}.delta`)!.data as Float32Array); // prettier-ignore
});

it('is a plain LoRA of the rank of both, whose first columns are those of the first times their factors', () => {
  const { config, tensors } = zipLora(first, second);
  expect([config.peftType, config.r, config.alpha]).toEqual(['LORA', 6, 6]);
  const name = 'base_model.model.up.lora_A.weight';
  const [A, own, m] = [tensors.get(name)!, first.tensors.get(name)!, wanted.get('0.01.up.m1')!].map(({ data }) => data as Float32Array); // prettier-ignore
  // The first one's scaling is 2, and that of the sum 1.
  expectSame(
    A!.subarray(0, own!.length),
    own!.map((value, at) => 2 * value * m![at % m!.length]!),
  );
});

it('of no steps is the sum, and a module of one of them alone stays as it is', () => {
  const up = new Adapter(second.config, new Map([...second.tensors].filter(([name]) => name.includes('.up.'))));
  const found = changesOf(zipLora(first, up, { steps: 0 }));
  const [one, other] = [changesOf(first), changesOf(up)];
  expectSame(found.get('up')!.data, one.get('up')!.data.map((value, i) => value + other.get('up')!.data[i]!)); // prettier-ignore
  expectSame(changesOf(zipLora(first, up)).get('down')!.data, one.get('down')!.data);
});

it('reads half precision', () => {
  const halved = new Adapter(first.config, new Map([...first.tensors].map(([name, { dims, data }]) => [name, tensor('float16', Uint16Array.from(data as Float32Array, toHalf), dims)]))); // prettier-ignore
  const [found, whole] = [halved, first].map((each) => changesOf(zipLora(each, second)).get('up')!.data);
  expectSame(found!, whole!, 2);
});

it.each<[string, () => readonly [Adapter, ZipLoraOptions?], RegExp]>([
  [
    'a penalty that rewards',
    () => [second, { lambda: -1 }],
    /lambda of zipLora must be a number of at least 0, but it is -1/,
  ],
  ['half a step', () => [second, { steps: 0.5 }], /steps of zipLora must be a whole number of at least 0/],
  ['no rate', () => [second, { lr: 0 }], /lr of zipLora must be a number above 0/],
  ['DoRA', () => [new Adapter({ ...second.config, useDora: true }, second.tensors)], /adapter "second" is DoRA/i],
])('refuses %s', (_, given, message) => {
  const [other, options] = given();
  expect(() => zipLora(first, other, options)).toThrow(message);
});
