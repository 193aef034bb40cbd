/** @file Optimizers against torch, their authors' code and PEFT; what whole runs move and save, and what is refused. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, type LoraOptions, type Model, openModel, train, type TrainOptions } from '@onnx-lora/sdk';
import { parseSafetensors } from '@onnx-lora/sdk/core';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { matmul, matrix, type Optimizer, OptimizerMemory } from '@onnx-lora/sdk/plugin';
import { checkOptimizer } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { memorising } from '../../fixtures/memorise.ts';
import { methodsPlugin, optimizers } from '../plugin.ts';
import { muon } from './muon.ts';
import { dampedInverse } from './pairs.ts';
import { scheduleFree } from './scheduleFree.ts';

const cases = path.join(import.meta.dirname, '../../../../test/fixtures/cases');
const file = path.join(import.meta.dirname, '../../fixtures/optimizers/optimizers.safetensors');
const { tensors: golden } = parseSafetensors(readFileSync(file), file);
const shapes = { wide: [4, 9], tall: [11, 3], vector: [7] } as const;
/** As make.py has them. */
const rates = Array.from({ length: 12 }, (_, step) => 0.02 * Math.min(1, step / 3) * (1 - Math.max(0, step - 8) / 10));

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-optimizers-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

function floats(name: string): Float32Array {
  return golden.get(name)!.data.slice() as Float32Array;
}

function expectNear(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++)
    expect(Math.abs(found[i]! - expected[i]!)).toBeLessThan(tolerance * Math.max(0.1, Math.abs(expected[i]!)));
}

function turned(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  return values.map((_, i) => values[(i % rows!) * columns! + Math.floor(i / rows!)]!);
}

const muonSettings = { momentum: 0.8, nesterov: false, weightDecay: 0.3, adjustLr: 'match_rms_adamw', nsSteps: 3 };
const freeSettings = { betas: [0.8, 0.95], eps: 1e-3, weightDecay: 0.2, r: 1.5, weightLrPower: 1 };
const variants: readonly [string, () => Optimizer][] = [
  ['muon', () => muon.create({})],
  ['muon-settings', () => muon.create(muonSettings)],
  ['schedule-free', () => scheduleFree.create({})],
  ['schedule-free-settings', () => scheduleFree.create(freeSettings)],
];

describe.each(variants)('%s', (variant, create) => {
  it.each(Object.entries(shapes))("computes the authors' numbers of %s", (name, dims) => {
    const [optimizer, inGraphs] = [new OptimizerMemory(create()), new OptimizerMemory(create())];
    const value = floats(`initial.${name}`);
    // Matrices lie the other way round in graphs.
    const isTurned = dims.length === 2;
    const other = isTurned ? turned(value, dims) : value.slice();
    rates.forEach((lr, step) => {
      const gradient = floats(`gradient.${step}.${name}`);
      const { weightDecay } = optimizer.optimizer;
      for (const _ of inGraphs.update(name, other, isTurned ? turned(gradient, dims) : gradient.slice(), { lr, weightDecay, dims: dims.toReversed(), torchDims: dims })); // prettier-ignore
      for (const _ of optimizer.update(name, value, gradient, { lr, weightDecay, dims }));
      expectNear(value, floats(`${variant}.${step + 1}.${name}`), 2e-6);
      expectNear(isTurned ? turned(other, dims.toReversed()) : other, value, 2e-6);
      if (optimizer.optimizer.evaluated)
        expectNear(optimizer.evaluated(name, value), floats(`${variant}.evaluated.${step + 1}.${name}`), 2e-6);
    });
  });
});

describe('any of them', () => {
  it.each(optimizers.map((each) => [each.name, each] as const))('%s holds the contract', (_, factory) => {
    expect(checkOptimizer(() => factory.create({}))).toEqual([]);
  });

  it('says which setting it does not take', () => {
    const of = (name: string): ((settings: object) => Optimizer) => (settings) => optimizers.find((each) => each.name === name)!.create({ ...settings }); // prettier-ignore
    expect(() => of('muon')({ momentum: 1 })).toThrow(
      'momentum of muon must be a number from 0 to below 1, but it is 1.',
    );
    expect(() => of('muon')({ nsSteps: 2.5 })).toThrow('nsSteps of muon must be a whole number from 1 to 99');
    expect(() => of('muon')({ nesterow: true })).toThrow('no option "nesterow". Did you mean "nesterov"?');
    expect(() => of('lorafa')({ betas: [0.9] })).toThrow('betas of lorafa must be two numbers from 0 to below 1');
    expect(() => of('schedule-free-adamw')({ betas: [0, 0.9] })).toThrow('two numbers above 0 and below 1');
    expect(() => of('riemannian')({ inner: 'muon' })).toThrow('inner of riemannian must be one of adamw, adam, sgd');
    expect(() => of('riemannian')({ momentum: 0.9 })).toThrow('The optimizer adamw has no option "momentum".');
    expect(() => of('riemannian')({ reg: -1 })).toThrow('reg of riemannian must be a number of 0 or more');
  });
});

it('inverts what can be, and the rest as a pseudo-inverse', () => {
  const values = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(3 * i * i + 1));
  const expectInverse = (rows: number, columns: number, damping: number): void => {
    const a = matrix(rows, columns, values(rows * columns));
    const gram = matmul(a, a, { transposeB: true });
    const inverse = dampedInverse(gram, damping);
    for (let i = 0; i < rows; i++) gram.data[i * rows + i]! += damping;
    expectNear(matmul(matmul(gram, inverse), gram).data, gram.data, 1e-9);
    expectNear(matmul(matmul(inverse, gram), inverse).data, inverse.data, 1e-9);
  };
  expectInverse(4, 9, 0.01);
  expectInverse(6, 30, 0);
  // Rank 3.
  expectInverse(6, 3, 0);
});

const lora = { r: 4, targetModules: ['up', 'down'], modulesToSave: ['head'] } satisfies LoraOptions;

/** Options of a run on the linear net of the cases. */
async function options(name: string): Promise<{ model: Model; all: TrainOptions & { lora: LoraOptions } }> {
  const folder = path.join(cases, name);
  const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
  return { model, all: { task: await memorising(folder), batchSize: 3, lora, lr: 0.02, steps: 8 } };
}

describe('whole runs', () => {
  it('of lorafa leave A where it began, and count B alone', async () => {
    const { model, all } = await options('lora-lorafa');
    const trained = async (more: Partial<TrainOptions>): Promise<[Adapter, number]> => {
      const run = await train(model, { ...all, ...more });
      return [(await run.done).adapter, run.trainableParameters];
    };
    const [[begun, all4], [adapter, half]] = [await trained({ steps: 1, lr: 1e-30 }), await trained({ optimizer: 'lorafa' })]; // prettier-ignore
    const moved = (part: string): boolean[] =>
      [...adapter.tensors].flatMap(([name, { data }]) => name.includes(part) ? [begun.tensors.get(name)!.data.some((each, i) => each !== data[i])] : []); // prettier-ignore
    expect([...new Set(moved('lora_A')), ...new Set(moved('lora_B')), ...new Set(moved('head'))]).toEqual([false, true, true]); // prettier-ignore
    // Two layers of 16 to 24 features and two of 24 to 16.
    expect(all4 - half).toBe(4 * 2 * (16 + 24));
  });

  it('save the averages of schedule-free, and not what is trained', async () => {
    const { model, all } = await options('lora-lorafa');
    const optimizer = 'schedule-free-adamw';
    await expect(train(model, { ...all, optimizer, ema: true })).rejects.toThrow('schedule-free-adamw averages parameters itself'); // prettier-ignore
    const run = await train(model, { ...all, optimizer, schedule: 'constant', checkpoints: { folder: path.join(scratch, 'averages'), every: 8 } }); // prettier-ignore
    const { adapter } = await run.done;
    const { tensors } = await readSafetensors(path.join(scratch, 'averages/step-8/training_state.safetensors'));
    const [y, z] = ['parameter/layers.0.up.lora_B.weight', 'optimizer/layers.0.up.lora_B.weight.z'].map((name) => tensors.get(name)!.data as Float32Array) as [Float32Array, Float32Array]; // prettier-ignore
    const saved = adapter.tensors.get('base_model.model.layers.0.up.lora_B.weight')!;
    expectNear(turned(saved.data as Float32Array, saved.dims), y.map((each, i) => each + (1 - 1 / 0.9) * (z[i]! - each)), 1e-6); // prettier-ignore
    expect(y.some((each, i) => Math.abs(each - z[i]!) > 1e-4)).toBe(true);
  });

  it.each([
    ['lorafa', 'lora-lorafa', { useDora: true }, '"layers.0.up" has DoRA'],
    ['lorafa', 'lora-lora-bias', { loraBias: true }, '"layers.0.up" has lora_B.bias'],
    ['lorafa', 'lora-lorafa', { tuner: 'loha' }, 'there is no linear layer with LoRA'],
    ['riemannian', 'lora-lorafa', { tuner: 'loha' }, 'needs LoRA on a linear layer'],
  ] as const)('of %s refuse what they cannot: %s %j', async (optimizer, name, more, message) => {
    const { model, all } = await options(name);
    const own: LoraOptions = { targetModules: ['up', 'down'], ...('tuner' in more ? more : { r: 4, ...more }) };
    await expect(train(model, { ...all, lora: own, optimizer })).rejects.toThrow(message);
  });
});
