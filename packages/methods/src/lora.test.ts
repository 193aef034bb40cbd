/** @file Variants of LoRA, where cases of PEFT are silent: other settings, losses of their own, refusals. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  convertToLora,
  float32,
  type LoraOptions,
  type Model,
  openModel,
  OrtRuntime,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter, randomFeeds } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sited } from '../../../test/support/formAdapters.ts';
import { modelOf } from '../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../test/support/storedWeights.ts';
import { taskOf } from '../fixtures/memorise.ts';
import type { Value } from '@onnx-lora/sdk/tasks';
import { ByTuner, ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { sizeOf } from './tuners/tensors.ts';
import { methodsPlugin } from './plugin.ts';
import { monteclora } from './tuners/dynamic/monteclora.ts';
import { velora } from './tuners/dynamic/velora.ts';
import type { StepTensor, TargetLayer, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';

let scratch = '';
let model: Model;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-methods-'));
  model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }), {
    plugins: [methodsPlugin],
    runtime: new OrtRuntime(),
  });
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const targetModules = ['encoder.0', 'encoder.1'];

/** sin(start + 1.7·i), as the numbers of PEFT were computed from. */
function wave(dims: readonly number[], start: number, factor = 1): Tensor {
  return float32(
    Float32Array.from({ length: sizeOf(dims) }, (_, i) => factor * Math.sin(start + 1.7 * i)),
    dims,
  );
}

function numbersOf(adapter: Adapter, end: string): Float32Array {
  const [, { data }] = [...adapter.tensors].find(([name]) => name.endsWith(end))!;
  return data as Float32Array;
}

/** A layer of 5 inputs and 3 outputs, as PEFT's numbers are of: the mean of y³ for x [4, 5], and gradients. */
async function trainedOnce(
  tuner: Tuner,
  settings: TunerSettings,
  more: ReadonlyMap<string, Tensor>,
): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> }> {
  const g = new WeightBuilder(17, '/fc/');
  const x: Value = { name: 'x', type: 'float32', shape: [4, 5] };
  const weight = (dims: readonly number[], start: number): Value => g.floats([...(wave(dims, start).data as Float32Array)], dims); // prettier-ignore
  const y = g.emit('Gemm', [x, weight([3, 5], 1), weight([3], 2)], { transB: 1 });
  g.nodes[0]!.name = '/fc/Gemm';
  const base = modelOf({ opset: 17, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const all = { ...tuner.defaults, r: 2, lora_alpha: 3, ...settings };
  const [tuning] = ByTuner.all([{ site: sited(base).sites[0]!, module: 'fc' }], { tuner, settings: all });
  const saved = new Map([...more, ['lora_A.weight', wave([2, 5], 10, 0.5)], ['lora_B.weight', wave([3, 2], 11, 0.5)]]); // prettier-ignore
  const trainer = new Trainer({
    base,
    plan: [tuning!],
    loss: (b, outputs) => {
      const [found] = Object.values(outputs) as [Value];
      return b.ReduceMean(b.Mul(found, b.Mul(found, found)), [0, 1], false);
    },
    runtime: new OrtRuntime(),
    session: { provider: 'cpu', threads: 1 },
    parameters: (inputs) => ParameterSet.of({ tunings: [{ tuning: tuning!, saved, names: [] }] }, inputs),
    name: tuner.name,
  });
  try {
    return await trainer.lossAndGradients({ x: wave([4, 5], 3) }, {});
  } finally {
    await trainer.release();
  }
}

function expectGradients(
  found: ReadonlyMap<string, Float32Array>,
  wanted: Readonly<Record<string, readonly number[]>>,
): void {
  for (const [name, numbers] of Object.entries(wanted))
    numbers.forEach((each, i) => {
      expect(found.get(`fc.${name}`)![i], `${name} ${i}`).toBeCloseTo(each, 4);
    });
}

describe('VeLoRA', () => {
  // PEFT 0.21.2 in float64.
  it.each([
    ['batch_average', [-0.2375677, 0.4152456, -0.0810838, 0.3605454, -0.6301987, 0.2125036, -0.3714359, 0.0725292, 0.2071156, -0.3620182]], // prettier-ignore
    ['random', [0.1347351, 0, 0.1796468, -0.1473304, 0, 0.0591302, 0, 0.0788403, 0.1621914, 0]],
  ])("has PEFT's gradients with %s", async (type, A) => {
    const settings = { velora_config: { num_groups: 2, scale: 0.5, init_type: type } };
    const { loss, gradients } = await trainedOnce(velora, settings, new Map([['lora_velora_embed', float32([0.6, 0, 0.8], [3])]])); // prettier-ignore
    expect(loss).toBeCloseTo(4.443663584479615, 4);
    const B = [-7.6779707, -0.8782019, 2.0560556, -4.12036, 6.0300691, -5.5435835];
    expectGradients(gradients, { 'lora_A.weight': A, 'lora_B.weight': B });
  });

  it('is LoRA when it is served: rows of one batch may have other adapters', async () => {
    const lora = { tuner: { name: 'velora', velora_config: { num_groups: 2 } }, targetModules };
    const own = await randomAdapter(model, { lora });
    const plain = new Adapter({ ...own.config, extra: {} }, new Map([...own.tensors].filter(([name]) => !name.includes('velora')))); // prettier-ignore
    const session = await model.session({ adapters: { own, plain } });
    const feeds = randomFeeds(model);
    const rows = (feeds['x']!.dims as number[])[0]!;
    const mixed = await session.run(feeds, { adapter: Array.from({ length: rows }, (_, i) => (i % 2 ? 'own' : 'plain')) }); // prettier-ignore
    const alone = await session.run(feeds, { adapter: 'plain' });
    await session.release();
    (mixed['logits']!.data as Float32Array).forEach((each, i) => {
      expect(each).toBeCloseTo(Number(alone['logits']!.data[i]), 6);
    });
  });
});

describe('MonteCLoRA', () => {
  const monteclora_config = { num_samples: 3, sample_scaler: 0.5, kl_loss_weight: 0.25, dirichlet_prior: 0.1 };

  // PEFT 0.21.2 in float64, with _get_monteclora_loss, for numbers that are given in place of drawn ones.
  it.each([
    [false, -0.5920017652528071, [0.01845, 0.13794, -0.410419]],
    [true, -0.1428569431257692, [0.171372, 0.013969, -0.533987]],
  ])("has PEFT's loss and gradients, with entropy: %s", async (use_entropy, more, shares) => {
    const sampler = 'lora_monteclora_sampler.';
    const drawn = new Map([
      ['normal', wave([3, 5, 2], 14)],
      ['wishart', float32([1.2, 3.4], [2])],
      ['dirichlet', wave([3], 15)],
      [`${sampler}std_prior`, wave([2], 12, 0.5)],
      [`${sampler}expert_weights_prior`, wave([3], 13, 0.5)],
      [`${sampler}gaussian_var_prior`, float32([1, 0, 0, 1], [2, 2])],
      [`${sampler}expert_weights`, float32([1 / 3, 1 / 3, 1 / 3], [3])],
    ]);
    const { loss, gradients } = await trainedOnce(monteclora, { monteclora_config: { ...monteclora_config, use_entropy } }, drawn); // prettier-ignore
    expect(loss).toBeCloseTo(4.664975803070328 + more, 4);
    expectGradients(gradients, {
      'lora_A.weight': [-2.498521, 0.011489, 2.495561, -0.654568, -2.326886, 0.081984, -0.776946, 0.118227, 0.74648, -0.310586], // prettier-ignore
      'lora_B.weight': [-6.978195, -1.108517, 1.754625, -2.024753, 4.823134, -2.395056],
      [`${sampler}std_prior`]: [-0.631184, 6.670959],
      [`${sampler}expert_weights_prior`]: shares,
    });
  });

  it('draws for each step and layer again, and the same for the same', () => {
    const tensor = (count: number): StepTensor => ({ dims: [count], value: new Float32Array(count) });
    const after = (step: number, seed = 1): Float32Array[] => {
      const modules = targetModules.map((each) => ({ layer: { path: each } as TargetLayer, tensors: { normal: tensor(3000), wishart: tensor(500), dirichlet: tensor(2) } })); // prettier-ignore
      monteclora.training!({ ...monteclora.defaults }).after!({ step, lr: 1e-3, seed, modules });
      return modules.flatMap(({ tensors: { normal, wishart } }) => [normal.value, wishart.value]);
    };
    const [one, same, other] = [after(4), after(4), after(5)];
    expect(same).toEqual(one);
    expect(other[0]).not.toEqual(one[0]);
    expect(after(4, 2)[0]).not.toEqual(one[0]);
    expect(one[2]).not.toEqual(one[0]);
    const mean = (values: Float32Array, of: (value: number) => number): number => values.reduce((sum, each) => sum + of(each), 0) / values.length; // prettier-ignore
    expect(Math.abs(mean(one[0]!, (each) => each))).toBeLessThan(0.08);
    expect(mean(one[0]!, (each) => each ** 2)).toBeCloseTo(1, 0);
    // The diagonal of Wishart's matrices is chi-squared, of as many degrees as there are rows.
    expect(mean(one[1]!, (each) => each) / 500).toBeCloseTo(1, 1);
  });
});

describe('QA-LoRA', () => {
  it("is LoRA whose A reads a group's inputs alike, as PEFT scales it", async () => {
    const lora = { tuner: { name: 'qalora', r: 2, lora_alpha: 3, qalora_group_size: 2 }, targetModules };
    const adapter = await randomAdapter(model, { lora });
    const { adapter: plain, errors } = await convertToLora(adapter, model, { r: 2 });
    expect([...errors.values()]).toEqual([0, 0]);
    const [A, B] = [numbersOf(adapter, 'encoder.1.lora_A.weight'), numbersOf(adapter, 'encoder.1.lora_B.weight')];
    const [ownA, ownB] = [numbersOf(plain, 'encoder.1.lora_A.weight'), numbersOf(plain, 'encoder.1.lora_B.weight')];
    // x·Aᵀ of the means of two inputs each, times the three groups: of the input i alone A's column of its group times 3 / 2.
    for (let o = 0; o < 6; o++)
      for (let i = 0; i < 6; i++) {
        const delta = [0, 1].reduce((sum, k) => sum + 1.5 * B[2 * o + k]! * A[3 * k + Math.floor(i / 2)]! * (3 / 2), 0);
        expect([0, 1].reduce((sum, k) => sum + ownB[2 * o + k]! * ownA[6 * k + i]!, 0)).toBeCloseTo(delta, 6);
      }
  });
});

it("MoRA reads files of its authors' fork of PEFT, which have the matrix twice", async () => {
  const adapter = await randomAdapter(model, { lora: { tuner: { name: 'mora', r: 2 }, targetModules } });
  expect(adapter.config.extra['use_mora']).toBe(true);
  const [, { dims }] = [...adapter.tensors].find(([name]) => name.endsWith('encoder.0.lora_A.weight'))!;
  // √(2 · (8 + 6)) is 5.3.
  expect(dims).toEqual([5, 5]);
  const twice = new Map([...adapter.tensors].flatMap((each) => [each, [each[0].replace('lora_A', 'lora_B'), each[1]] as const])); // prettier-ignore
  const forked = new Adapter(adapter.config, twice);
  const feeds = randomFeeds(model);
  const outputs = async (own: Adapter): Promise<unknown> => {
    const session = await model.session({ adapters: { own } });
    const found = await session.run(feeds, { adapter: 'own' });
    await session.release();
    return found;
  };
  expect(await outputs(forked)).toEqual(await outputs(adapter));
});

describe('KaSA', () => {
  it('adds what keeps its factors orthogonal and its singular values small to the loss', async () => {
    const lora = { tuner: { name: 'kasa', r: 2 }, targetModules };
    const adapter = await randomAdapter(model, { lora });
    const firstLoss = async (kasa_config: object): Promise<number> => {
      const config = { ...adapter.config, extra: { ...adapter.config.extra, kasa_config } };
      const feeds = randomFeeds(model);
      const task = taskOf((feeds['x']!.dims as number[])[0]!, feeds, {}, (g, { logits }) => g.ReduceMean(g.Mul(logits!, logits!), [0, 1], false)); // prettier-ignore
      const run = await train(model, { task, from: new Adapter(config, adapter.tensors), steps: 1, lr: 1e-9 });
      for await (const event of run) if (event.type === 'step') return event.loss;
      throw new Error('There was no step.');
    };
    const distance = (rows: number, at: (i: number, j: number) => number): number =>
      Math.sqrt(Array.from({ length: rows * rows }, (_, k) => (at(Math.floor(k / rows), k % rows) - Number(k % (rows + 1) === 0)) ** 2).reduce((a, b) => a + b)); // prettier-ignore
    const expected = targetModules.reduce((sum, module) => {
      const [A, B, d] = ['lora_A.weight', 'lora_B.weight', 'lora_diag'].map((name) => numbersOf(adapter, `${module}.${name}`)) as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
      const width = A.length / 2;
      const dot = (count: number, at: (k: number) => number): number => Array.from({ length: count }, (_, k) => at(k)).reduce((a, b) => a + b); // prettier-ignore
      const far =
        distance(2, (i, j) => dot(width, (k) => A[i * width + k]! * A[j * width + k]!)) +
        distance(2, (i, j) => dot(6, (k) => B[2 * k + i]! * B[2 * k + j]!));
      return sum + 0.3 * d.reduce((all, each) => all + each * each, 0) + 0.2 * far;
    }, 0);
    const [more, less] = [await firstLoss({ beta: 0.3, gamma: 0.2 }), await firstLoss({ beta: 0, gamma: 0 })];
    expect(more - less).toBeCloseTo(expected, 4);
  });
});

describe('errors', () => {
  it.each<[string, LoraOptions, string]>([
    ['a weight with fewer singular values', { tuner: { name: 'kasa', r: 6 }, targetModules }, 'r must be below the 6 singular values of "encoder.0", and is 6.'], // prettier-ignore
    ['DoRA', { tuner: { name: 'kasa', r: 2, use_dora: true }, targetModules }, 'use_dora must be false, all that this tuner has of it, and is true.'], // prettier-ignore
    ['an initialisation', { tuner: { name: 'qalora', init_lora_weights: 'pissa' }, targetModules }, 'init_lora_weights must be true, all that this tuner has of it, and is "pissa".'], // prettier-ignore
    ['a dropout that leaves nothing', { tuner: { name: 'kasa', r: 2, lora_dropout: 1 }, targetModules }, 'lora_dropout must be a probability less than 1, and is 1.'], // prettier-ignore
    ['groups that do not fit', { tuner: 'qalora', targetModules }, 'qalora_group_size must be a divisor of the 8 inputs of "encoder.0", and is 16.'], // prettier-ignore
    ['blocks that do not fit', { tuner: { name: 'bdlora', use_bdlora: { target_modules_bd_b: ['encoder'], nblocks: 4 } }, targetModules }, 'nblocks must be a divisor of the rank 8 and the 6 features of "encoder.0", and is 4.'], // prettier-ignore
    ['a layer without blocks', { tuner: 'bdlora', targetModules }, 'the layer is in neither target_modules_bd_a nor target_modules_bd_b of use_bdlora (match_strict)'], // prettier-ignore
    ['a vector that a first batch would say', { tuner: { name: 'velora', velora_config: { init_type: 'batch_average_once' } }, targetModules }, '"init_type" of the tuner "velora" cannot be "batch_average_once". Choose one of "random", "batch_average".'], // prettier-ignore
  ])('%s', async (_, lora, message) => {
    await expect(randomAdapter(model, { lora })).rejects.toThrow(message);
  });
});
