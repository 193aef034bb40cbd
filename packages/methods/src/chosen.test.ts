/** @file Tuners whose files say which numbers of a weight, or of a vector, they mean: what is drawn, and what files must have. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  convertToLora,
  loadAdapter,
  type LoraOptions,
  type Model,
  openModel,
  OrtRuntime,
  type Tensor,
} from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { injectAdapters, ParameterSet, planAdapter } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { matrix, svd } from '@onnx-lora/sdk/plugin';
import { methodsPlugin } from './plugin.ts';

const cases = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const targetModules = ['encoder.0', 'encoder.1'];
let scratch = '';
let model: Model;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-chosen-'));
  const plugins = [methodsPlugin];
  model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }), { plugins, runtime: new OrtRuntime() }); // prettier-ignore
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function of({ tensors }: Adapter, end: string): number[] {
  return Array.from([...tensors].find(([name]) => name.endsWith(end))![1].data as Float32Array, Number);
}

function changed({ config, tensors }: Adapter, changes: Readonly<Record<string, Tensor | undefined>>): Adapter {
  const all = Object.entries({ ...Object.fromEntries(tensors), ...changes });
  return new Adapter(config, new Map(all.filter((each): each is [string, Tensor] => each[1] !== undefined)));
}

describe('SHiRA', () => {
  it("trains the numbers that PEFT's seed chooses", async () => {
    const adapter = await randomAdapter(model, { lora: { tuner: { name: 'shira', r: 1, random_seed: 11 }, targetModules } }); // prettier-ignore
    // For a layer from 8 to 6, by PEFT 0.21.2's random_mask.
    expect(of(adapter, 'encoder.0.shira_indices')).toEqual([1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 1, 2, 3, 1, 2, 4, 6, 1, 5, 3, 5, 6, 2, 6]); // prettier-ignore
  });

  it('refuses places outside of the weight', async () => {
    const adapter = await randomAdapter(model, { lora: { tuner: { name: 'shira', r: 1 }, targetModules } });
    const [name, tensor] = [...adapter.tensors].find(([each]) => each.endsWith('encoder.0.shira_indices'))!;
    const data = Int32Array.from(tensor.data as Int32Array);
    data[0] = 6;
    await expect(model.place(changed(adapter, { [name]: { ...tensor, data } as Tensor }))).rejects.toThrow(
      'shira_indices of "encoder.0" must hold numbers of type int32 from 0 to 5 and 7, and has 6.',
    );
  });
});

describe('Supertuning', () => {
  it('trains the largest numbers of the weight, or the smallest', async () => {
    const of2 = async (select_top: boolean): Promise<number[]> => of(await randomAdapter(model, { lora: { tuner: { name: 'supertuning', sparsity: 0.9, select_top }, targetModules } }), 'encoder.0.supertuning_indices'); // prettier-ignore
    const weight = model
      .sites()
      .find((site) => site.path === 'encoder.0')!
      .weight.stored.read();
    const order = [...weight.keys()].sort((a, b) => Math.abs(weight[b]!) - Math.abs(weight[a]!));
    expect(await of2(true)).toEqual(order.slice(0, 4));
    expect(await of2(false)).toEqual(order.slice(-4).reverse());
  });

  it('scales a product by twice its rank where no alpha is given, as PEFT does', async () => {
    const planned = (lora_alpha: number | null): Promise<Adapter> => randomAdapter(model, { lora: { tuner: { name: 'supertuning', sparsity: 0.9, r: 3, lora_alpha }, targetModules } }); // prettier-ignore
    const [own, six, three] = await Promise.all([null, 6, 3].map((alpha) => planned(alpha)));
    const changes = await Promise.all(
      [own!, six!, three!].map(async ({ config }) => {
        const { adapter } = await convertToLora(new Adapter(config, own!.tensors), model, { r: 6 });
        return [of(adapter, 'encoder.0.lora_A.weight'), of(adapter, 'encoder.0.lora_B.weight')];
      }),
    );
    expect(changes[0]).toEqual(changes[1]);
    expect(changes[0]).not.toEqual(changes[2]);
  });
});

describe('TinyLoRA', () => {
  it('knows by the projections which vector a layer has, whatever the order of layers was', async () => {
    const adapter = await randomAdapter(model, { lora: { tuner: { name: 'tinylora', u: 20 }, targetModules } });
    const [first, second] = targetModules.map((each) => `base_model.model.${each}.tinylora_P`) as [string, string];
    const swapped = changed(adapter, { [first]: adapter.tensors.get(second)!, [second]: adapter.tensors.get(first)! });
    const { adapter: plain } = await convertToLora(swapped, model, { r: 2 });
    const [A, B, P, v] = [of(adapter, 'encoder.0.tinylora_A'), of(adapter, 'encoder.0.tinylora_B'), of(adapter, second), of(adapter, 'tinylora_v.1')]; // prettier-ignore
    const R = [0, 1, 2, 3].map((i) => v.reduce((sum, each, k) => sum + each * P[4 * k + i]!, 0));
    const [ownA, ownB] = [of(plain, 'encoder.0.lora_A.weight'), of(plain, 'encoder.0.lora_B.weight')];
    for (let o = 0; o < 6; o++)
      for (let i = 0; i < 8; i++) {
        const wanted = [0, 1, 2, 3].reduce((sum, k) => sum + B[2 * o + (k >> 1)]! * R[k]! * A[8 * (k & 1) + i]!, 0);
        expect([0, 1].reduce((sum, k) => sum + ownB[2 * o + k]! * ownA[8 * k + i]!, 0)).toBeCloseTo(wanted, 6);
      }
  });

  it("begins with the weight's two largest singular components, halved between its factors", async () => {
    const adapter = await randomAdapter(model, { lora: { tuner: { name: 'tinylora', u: 20 }, targetModules } });
    const [A, B] = [of(adapter, 'encoder.0.tinylora_A'), of(adapter, 'encoder.0.tinylora_B')];
    const { U, S, V } = svd(
      matrix(
        6,
        8,
        model
          .sites()
          .find((site) => site.path === 'encoder.0')!
          .weight.stored.read(),
      ),
    );
    for (const k of [0, 1]) {
      const length = (values: readonly number[]): number => values.reduce((sum, each) => sum + each * each, 0);
      expect(length(A.slice(8 * k, 8 * k + 8))).toBeCloseTo(S[k]!, 5);
      expect(length(B.filter((_, i) => i % 2 === k))).toBeCloseTo(S[k]!, 5);
    }
    for (let o = 0; o < 6; o++)
      for (let i = 0; i < 8; i++) {
        const best = [0, 1].reduce(
          (sum, k) => sum + S[k]! * U.data[o * U.columns + k]! * V.data[i * V.columns + k]!,
          0,
        );
        expect([0, 1].reduce((sum, k) => sum + B[2 * o + k]! * A[8 * k + i]!, 0)).toBeCloseTo(best, 5);
      }
  });

  it('refuses a file without them', async () => {
    const adapter = await randomAdapter(model, { lora: { tuner: 'tinylora', targetModules } });
    const without = changed(adapter, { 'base_model.model.encoder.0.tinylora_P': undefined });
    await expect(model.place(without)).rejects.toThrow(
      `The adapter's projections of "encoder.0" are not in the file, so that nothing tells which of its vectors the layer has. Save it in PEFT with save_projection=True.`,
    );
  });

  it('shares one vector between layers that are tied', async () => {
    const lora = { tuner: { name: 'tinylora', weight_tying: 1 }, targetModules };
    const { tensors } = await randomAdapter(model, { lora });
    expect([...tensors.keys()].filter((name) => name.includes('tinylora_v'))).toEqual(['base_model.tinylora_v.0']);
  });
});

describe('UniLoRA', () => {
  it('has each number of its vector as often as the others, or once more, as PEFT', async () => {
    const lora = { tuner: { name: 'unilora', r: 2, theta_d_length: 10 }, targetModules };
    const adapter = await randomAdapter(model, { lora });
    const names = targetModules.flatMap((each) => [`${each}.unilora_indices_A`, `${each}.unilora_indices_B`]);
    const all = names.flatMap((name) => of(adapter, name));
    // 2 · (8 + 6) and 2 · (6 + 6) numbers.
    expect(all).toHaveLength(52);
    const uses = Array.from({ length: 10 }, (_, i) => all.filter((each) => each === i).length);
    expect(uses.toSorted((a, b) => a - b)).toEqual([5, 5, 5, 5, 5, 5, 5, 5, 6, 6]);
    of(adapter, 'encoder.1.unilora_scales_B').forEach((scale, i) => {
      expect(scale).toBeCloseTo(uses[of(adapter, 'encoder.1.unilora_indices_B')[i]!]! ** -0.5, 6);
    });
  });

  it('refuses a file that has only its vector', async () => {
    const adapter = await loadAdapter(path.join(cases, 'peft-unilora-indices/adapter'));
    const alone = new Adapter(adapter.config, new Map([...adapter.tensors].filter(([name]) => name.includes('theta'))));
    await expect(model.place(alone)).rejects.toThrow(
      "The adapter's file has only what all its layers share (base_model.unilora_theta_d), and PEFT draws the rest of UNILORA again",
    );
  });
});

describe('VB-LoRA with save_only_topk_weights', () => {
  const lora = { tuner: { name: 'vblora', r: 2, num_vectors: 6, vector_length: 2, topk: 3, save_only_topk_weights: true }, targetModules }; // prettier-ignore

  it('saves the places of the largest logits, and the softmax of these but the last', async () => {
    const { plan } = planAdapter(model, lora);
    const { inputs } = injectAdapters(model.onnx.model, plan, { types: model.types(), mode: 'training' });
    const set = ParameterSet.initial(inputs, new Random(3));
    const found = set.tensors();
    const name = 'base_model.model.encoder.0.vblora_logits_B';
    expect(found.has(name)).toBe(false);
    const logits = set.gradients().get(name)!.data as Float32Array;
    for (let row = 0; row < 6; row++) {
      const own = [...logits.subarray(6 * row, 6 * row + 6)];
      const order = [...own.keys()].sort((a, b) => own[b]! - own[a]!).slice(0, 3);
      expect(Array.from(found.get(`${name}_topk_indices`)!.data.slice(3 * row, 3 * row + 3), Number)).toEqual(order);
      const sum = order.reduce((total, at) => total + Math.exp(own[at]!), 0);
      [0, 1].forEach((i) => {
        expect(found.get(`${name}_topk_weights`)!.data[2 * row + i]).toBeCloseTo(Math.exp(own[order[i]!]!) / sum, 6);
      });
    }
  });

  it('refuses a file without the weights, and places of no vector', async () => {
    const adapter = await randomAdapter(model, { lora });
    const name = 'base_model.model.encoder.0.vblora_logits_A_topk';
    await expect(model.place(changed(adapter, { [`${name}_weights`]: undefined }))).rejects.toThrow(
      'The adapter holds only part of module "encoder.0": vblora_logits_A_topk_weights is missing. Copy or save it again.',
    );
    const places = adapter.tensors.get(`${name}_indices`)!;
    const data = Uint8Array.from(places.data as Uint8Array).fill(6, 0, 1);
    await expect(model.place(changed(adapter, { [`${name}_indices`]: { ...places, data } as Tensor }))).rejects.toThrow(
      'vblora_logits_A_topk_indices of "encoder.0" must hold numbers of type int32 from 0 to 5, and has 6. Copy or save the adapter again.',
    );
  });
});

describe('errors', () => {
  it.each<[string, LoraOptions['tuner'] & object, string]>([
    [
      'more numbers than there are',
      { name: 'shira', r: 9 },
      'the layer has 48 numbers, and r = 9 asks for 126 of them',
    ],
    [
      'a mask of one’s own',
      { name: 'shira', r: 1, mask_type: 'mine' },
      'mask_type must be "random", all that this tuner has of it, and is "mine".',
    ],
    [
      'none at all',
      { name: 'supertuning' },
      'the layer has 48 numbers, and sparsity 0.99 leaves none of them to train',
    ],
    [
      'an alpha without a rank',
      { name: 'supertuning', sparsity: 0.5, lora_alpha: 3 },
      'lora_alpha must be null without r, and is 3.',
    ],
    [
      'projections that are not saved',
      { name: 'tinylora', save_projection: false },
      'save_projection must be true, all that this tuner has of it, and is false.',
    ],
    [
      'indices that are not saved',
      { name: 'unilora', save_indices: false },
      'save_indices must be true, all that this tuner has of it, and is false.',
    ],
  ])('%s', async (_, tuner, message) => {
    await expect(randomAdapter(model, { lora: { tuner, targetModules } })).rejects.toThrow(message);
  });
});
