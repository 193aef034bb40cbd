/** @file ZipLoRA against torch's autograd and Adam on whole weights (`fixtures/zipLora/make.py`), and what layers read against a run. */

import path from 'node:path';
import { Adapter, float32, loadAdapter, type Model, openModel, tensor, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { type Matrix, matmul, matrix } from '@onnx-lora/sdk/plugin';
import { meanSquaredError, type Task, toHalf } from '@onnx-lora/sdk/tasks';
import { beforeAll, expect, it } from 'vitest';
import { taskOf } from '../../fixtures/memorise.ts';
import { factorsOf, type ModuleFactors } from '../mixtures/factors.ts';
import { inputGrams } from './inputGrams.ts';
import { columnFactors, zipLora, type ZipLoraOptions } from './zipLora.ts';

const fixtures = path.join(import.meta.dirname, '../../fixtures');
let model: Model;
let first: Adapter;
let second: Adapter;
let x: Tensor;
let task: Task;
beforeAll(async () => {
  model = await openModel(path.join(fixtures, 'arrow/model.onnx'));
  [first, second] = await Promise.all(['task_0', 'task_1'].map((name) => loadAdapter(path.join(fixtures, 'arrow', name)))) as [Adapter, Adapter]; // prettier-ignore
  const { tensors } = await readSafetensors(path.join(fixtures, 'arrow/base.safetensors'));
  x = tensors.get('x')!;
  task = taskOf(3, { x }, { y: tensors.get('y')! }, (g, { logits }, { y }) => meanSquaredError(g, logits!, y!));
});

const reading = { batchSize: 3, initBatches: 1, threads: 1 };
const zip = (one: Adapter, other: Adapter, options: ZipLoraOptions = {}): Promise<Adapter> =>
  zipLora(model, [{ adapter: one, task }, { adapter: other, task }], { ...reading, ...options }); // prettier-ignore

/** s·B·A of each module. */
function changesOf(adapter: Adapter): Map<string, Float64Array> {
  return new Map(
    [...factorsOf(adapter, 'zipped')].map(([module, { A, B, scaling }]) => [module, matmul(B, A).data.map((value) => scaling * value)]), // prettier-ignore
  );
}

/** Factors with their scaling in B. */
function scaledFactors(adapter: Adapter): Map<string, ModuleFactors> {
  return new Map([...factorsOf(adapter, 'own')].map(([module, { A, B, scaling }]) => [module, { A, B: { ...B, data: B.data.map((value) => scaling * value) }, scaling: 1 }])); // prettier-ignore
}

function expectSame(found: ArrayLike<number>, expected: ArrayLike<number>, digits = 4): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) expect(found[i]).toBeCloseTo(expected[i]!, digits);
}

it.each([0, 0.5])('with λ %d finds the factors of columns that torch finds', async (lambda) => {
  const { tensors } = await readSafetensors(path.join(fixtures, 'zipLora/zipLora.safetensors'));
  const numbers = (name: string): Float32Array => tensors.get(name)!.data as Float32Array;
  const gramOf = (name: string): Matrix => {
    const [rows, columns] = tensors.get(name)!.dims as [number, number];
    const inputs = matrix(rows, columns, numbers(name));
    return matmul(inputs, inputs, { transposeB: true });
  };
  const scaled = [first, second].map(scaledFactors);
  for (const module of ['up', 'down']) {
    const both = [scaled[0]!.get(module)!, scaled[1]!.get(module)!] as const;
    const grams = [gramOf(`${module}.x1`), gramOf(`${module}.x2`)] as const;
    const found = columnFactors(both, grams, { lambda, steps: 100, lr: 0.01 });
    found.forEach((m, i) => expectSame(m, numbers(`${lambda}.${module}.m${i + 1}`))); // prettier-ignore
  }
});

it('reads what layers read of the examples', async () => {
  const grams = await inputGrams(model, task, ['up', 'down'], reading);
  for (const { path: module, input } of model.sites().filter((each) => grams.has(each.path))) {
    await using session = await model.withOutputs([input]).session({ threads: 1 });
    const { dims, data } = (await session.run({ x }))[input]!;
    const rows = matrix(data.length / dims.at(-1)!, dims.at(-1)!, data as Float32Array);
    expectSame(grams.get(module)!.data, matmul(rows, rows, { transposeA: true }).data, 3);
  }
  expect([...grams.keys()].sort()).toEqual(['down', 'up']);
});

it('is a plain LoRA of the rank of both, each with its own factors, by its own inputs', async () => {
  const turned = float32((x.data as Float32Array).map((value, i) => value * Math.cos(i)), x.dims); // prettier-ignore
  const tasks = [task, taskOf(3, { x: turned }, { y: x }, (g, { logits }) => g.ReduceMean(logits!, [0, 1], false))] as const; // prettier-ignore
  const parts = [{ adapter: first, task: tasks[0] }, { adapter: second, task: tasks[1] }] as const; // prettier-ignore
  const { config, tensors } = await zipLora(model, parts, { ...reading, lambda: 0.5 });
  expect([config.peftType, config.r, config.loraAlpha]).toEqual(['LORA', 6, 6]);
  const grams = [await inputGrams(model, tasks[0], ['up'], reading), await inputGrams(model, tasks[1], ['up'], reading)] as const; // prettier-ignore
  const both = [scaledFactors(first).get('up')!, scaledFactors(second).get('up')!] as const;
  const m = columnFactors(both, [grams[0].get('up')!, grams[1].get('up')!], { lambda: 0.5, steps: 100, lr: 0.01 });
  const name = 'base_model.model.up.lora_A.weight';
  // The scalings are 2 and 4/3, and that of the sum 1.
  const wanted = [first, second].flatMap((adapter, i) => Array.from(adapter.tensors.get(name)!.data as Float32Array, (value, at) => [2, 4 / 3][i]! * value * m[i]![at % m[i]!.length]!)); // prettier-ignore
  expectSame(tensors.get(name)!.data as Float32Array, wanted);
});

it('of no steps is the sum, and a module of one of them alone stays as it is', async () => {
  const up = new Adapter(second.config, new Map([...second.tensors].filter(([name]) => name.includes('.up.'))));
  const down = new Adapter(first.config, new Map([...first.tensors].filter(([name]) => name.includes('.down.'))));
  const [one, other] = [changesOf(first), changesOf(up)];
  const sum = changesOf(await zip(first, up, { steps: 0 })).get('up')!;
  expectSame(sum, one.get('up')!.map((value, i) => value + other.get('up')![i]!)); // prettier-ignore
  expectSame(changesOf(await zip(first, up)).get('down')!, one.get('down')!);
  expectSame(changesOf(await zip(down, up)).get('up')!, other.get('up')!);
});

it('reads half precision', async () => {
  const halved = new Adapter(first.config, new Map([...first.tensors].map(([name, { dims, data }]) => [name, tensor('float16', Uint16Array.from(data as Float32Array, toHalf), dims)]))); // prettier-ignore
  expectSame(changesOf(await zip(halved, second)).get('up')!, changesOf(await zip(first, second)).get('up')!, 2);
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
])('refuses %s', async (_, given, message) => {
  const [other, options] = given();
  await expect(zip(first, other, options)).rejects.toThrow(message);
});
