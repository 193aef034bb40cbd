/** @file Variants of LoRA, where cases of PEFT are silent: other settings, losses of their own, refusals. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, convertToLora, type LoraOptions, type Model, openModel, train } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter, randomFeeds } from '@onnx-lora/sdk/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sited } from '../../../test/support/formAdapters.ts';
import { modelOf } from '../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../test/support/storedWeights.ts';
import { taskOf } from '../../sdk/fixtures/memorise.ts';
import type { Value } from '../../sdk/src/graph/builder.ts';
import { ByTuner } from '../../sdk/src/lora/tunings/byTuner.ts';
import { OrtRuntime } from '../../sdk/src/runtime/ort.ts';
import { float32, sizeOf, type Tensor } from '../../sdk/src/runtime/tensor.ts';
import { ParameterSet } from '../../sdk/src/train/parameters.ts';
import { Trainer } from '../../sdk/src/train/trainer.ts';
import { methodsPlugin } from './plugin.ts';
import { velora } from './tuners/velora.ts';

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

describe('VeLoRA', () => {
  // PEFT 0.21.2 in float64: the mean of y³ where y is a layer of 5 inputs and 3 outputs, for x [4, 5].
  it.each([
    ['batch_average', [-0.2375677, 0.4152456, -0.0810838, 0.3605454, -0.6301987, 0.2125036, -0.3714359, 0.0725292, 0.2071156, -0.3620182]], // prettier-ignore
    ['random', [0.1347351, 0, 0.1796468, -0.1473304, 0, 0.0591302, 0, 0.0788403, 0.1621914, 0]],
  ])("has PEFT's gradients with %s", async (type, wantedA) => {
    const g = new WeightBuilder(17, '/fc/');
    const x: Value = { name: 'x', type: 'float32', shape: [4, 5] };
    const weight = (dims: readonly number[], start: number): Value => g.floats([...(wave(dims, start).data as Float32Array)], dims); // prettier-ignore
    const y = g.emit('Gemm', [x, weight([3, 5], 1), weight([3], 2)], { transB: 1 });
    g.nodes[0]!.name = '/fc/Gemm';
    const base = modelOf({ opset: 17, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
    const settings = {
      ...velora.defaults,
      r: 2,
      lora_alpha: 3,
      velora_config: { num_groups: 2, scale: 0.5, init_type: type },
    };
    const [tuning] = ByTuner.all([{ site: sited(base).sites[0]!, module: 'fc' }], { tuner: velora, settings });
    const saved = new Map([
      ['lora_A.weight', wave([2, 5], 10, 0.5)],
      ['lora_B.weight', wave([3, 2], 11, 0.5)],
      ['lora_velora_embed', float32([0.6, 0, 0.8], [3])],
    ]);
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
      name: 'velora',
    });
    const { loss, gradients } = await trainer.lossAndGradients({ x: wave([4, 5], 3) }, {});
    await trainer.release();
    expect(loss).toBeCloseTo(4.443663584479615, 4);
    const wantedB = [-7.6779707, -0.8782019, 2.0560556, -4.12036, 6.0300691, -5.5435835];
    for (const [name, wanted] of [
      ['fc.lora_A.weight', wantedA],
      ['fc.lora_B.weight', wantedB],
    ] as const)
      // prettier-ignore
      wanted.forEach((each, i) => {
        expect(gradients.get(name)![i], `${name} ${i}`).toBeCloseTo(each, 4);
      });
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
    ['a weight with fewer singular values', { tuner: { name: 'kasa', r: 6 }, targetModules }, 'The rank of KaSA must be below the 6 singular values of "encoder.0", and is 6.'], // prettier-ignore
    ['DoRA', { tuner: { name: 'kasa', r: 2, use_dora: true }, targetModules }, '"use_dora" must be false of this variant of LoRA, and it is true.'], // prettier-ignore
    ['an initialisation', { tuner: { name: 'qalora', init_lora_weights: 'pissa' }, targetModules }, '"init_lora_weights" must be true of this variant of LoRA, and it is "pissa".'], // prettier-ignore
    ['a dropout that leaves nothing', { tuner: { name: 'kasa', r: 2, lora_dropout: 1 }, targetModules }, 'lora_dropout must be a number from 0 to below 1, and is 1.'], // prettier-ignore
    ['groups that do not fit', { tuner: 'qalora', targetModules }, 'qalora_group_size must divide the 8 inputs of "encoder.0", and is 16.'], // prettier-ignore
    ['blocks that do not fit', { tuner: { name: 'bdlora', use_bdlora: { target_modules_bd_b: ['encoder'], nblocks: 4 } }, targetModules }, 'nblocks of use_bdlora must divide the rank 8 and the 6 features of "encoder.0", and is 4.'], // prettier-ignore
    ['a layer without blocks', { tuner: 'bdlora', targetModules }, 'the layer is in neither target_modules_bd_a nor target_modules_bd_b of use_bdlora (match_strict)'], // prettier-ignore
    ['a vector that a first batch would say', { tuner: { name: 'velora', velora_config: { init_type: 'batch_average_once' } }, targetModules }, 'init_type of velora_config must be "random" or "batch_average", and is "batch_average_once".'], // prettier-ignore
  ])('%s', async (_, lora, message) => {
    await expect(randomAdapter(model, { lora })).rejects.toThrow(message);
  });
});
