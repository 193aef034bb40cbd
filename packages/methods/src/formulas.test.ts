/** @file Tuners that PEFT does not have: the changes of weights that their papers say, written out number by number. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convertToLora, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { TorchRandom } from '@onnx-lora/sdk/plugin';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from './plugin.ts';
import { loraXs } from './tuners/lowRank/loraXs.ts';

let scratch = '';
let model: Model;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-formulas-'));
  model = await openModel(
    await publishModel(path.join(scratch, 'net'), { model: linearNet({ inputs: 12, hidden: 8 }) }),
    {
      plugins: [methodsPlugin],
    },
  );
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

type Of = (word: string, ...place: number[]) => number;

/** `encoder.0` has 12 inputs and 8 outputs. The value added to its weight in row o and column i. */
const formulas: Readonly<
  Record<string, { readonly settings: object; readonly change: (of: Of, o: number, i: number) => number }>
> = {
  'lora-xs': {
    settings: { r: 3, alpha: 6, init_std: 1 },
    change: (of, o, i) => 2 * sum(3, (k) => sum(3, (l) => of('xs_B', o, k) * of('xs_R', k, l) * of('xs_A', l, i))),
  },
  // Two blocks of 4 outputs and 6 inputs; nothing beside them.
  melora: {
    settings: { r: 2, blocks: 2, alpha: 3 },
    change: (of, o, i) => {
      const block = Math.floor(o / 4);
      if (Math.floor(i / 6) !== block) return 0;
      return 1.5 * sum(2, (k) => of('melora_B', block, o % 4, k) * of('melora_A', block, k, i % 6));
    },
  },
  nola: {
    settings: { r: 2, alpha: 2, bases: 5, seed: 3 },
    change: (of, o, i) => {
      const [A, basesA, basesB] = [
        new TorchRandom(3).uniform(24, -(12 ** -0.5), 12 ** -0.5),
        new TorchRandom(4).uniform(120, -1, 1),
        new TorchRandom(5).uniform(80, -1, 1),
      ];
      const a = (k: number): number =>
        A[k * 12 + i]! + sum(5, (n) => of('nola_alpha', n) * basesA[(n * 2 + k) * 12 + i]!);
      const b = (k: number): number => sum(5, (n) => of('nola_beta', n) * basesB[(n * 8 + o) * 2 + k]!);
      return sum(2, (k) => a(k) * b(k));
    },
  },
  // Two tasks before.
  'sd-lora': {
    settings: { r: 2, lora_alpha: 3, old_tasks: 2 },
    change: (of, o, i) =>
      1.5 *
      (sum(2, (task) => of('old_scale', task) * sum(2, (k) => of('old_B', o, 2 * task + k) * of('old_A', 2 * task + k, i))) +
        of('scale', 0) * sum(2, (k) => of('lora_B', o, k) * of('lora_A', k, i))), // prettier-ignore
  },
  // 8 = 4 · 2 and 12 = 4 · 3: five bonds of rank 2 … 2 between four tensors.
  'tt-lora': {
    settings: { r: 2, alpha: 1, cores: 2 },
    change: (of, o, i) =>
      0.5 *
      sum(2, (a) =>
        sum(
          2,
          (b) =>
          sum(2, (c) => of('tt_0', 0, Math.floor(o / 2), a) * of('tt_1', a, o % 2, b) * of('tt_2', b, Math.floor(i / 3), c) * of('tt_3', c, i % 3, 0)), // prettier-ignore
        ),
      ),
  },
};

it.each(Object.entries(formulas))('%s', async (name, { settings, change }) => {
  const adapter = await randomAdapter(model, { lora: { tuner: { name, ...settings }, targetModules: ['encoder.0'] } });
  const { adapter: lora, errors } = await convertToLora(adapter, model);
  expect(errors.get('encoder.0')).toBe(0);
  const [A, B] = ['A', 'B'].map((each) => lora.tensors.get(`base_model.model.encoder.0.lora_${each}.weight`)!) as [Tensor, Tensor]; // prettier-ignore
  const r = A.dims[0]!;
  const of: Of = (word, ...place) => {
    const { dims, data } = adapter.tensors.get(`base_model.model.encoder.0.${word}`)!;
    return Number(data[place.reduce((at, index, axis) => at * dims[axis]! + index, 0)]);
  };
  let largest = 0;
  for (let o = 0; o < 8; o++)
    for (let i = 0; i < 12; i++) {
      const expected = change(of, o, i);
      largest = Math.max(largest, Math.abs(expected));
      expect(sum(r, (k) => Number(B.data[o * r + k]) * Number(A.data[k * 12 + i]))).toBeCloseTo(expected, 5);
    }
  expect(largest).toBeGreaterThan(0.01);
});

it('LoRA-XS begins with the largest singular vectors', () => {
  const [out, inputs, r] = [8, 12, 3];
  const W = Float32Array.from({ length: out * inputs }, (_, i) => Math.sin(1 + i * i));
  const layer = { path: 'encoder.0', kind: 'linear', in: inputs, out, weightShape: [out, inputs], bias: false, weight: () => W, ownBias: () => undefined } as const; // prettier-ignore
  const { tensors } = loraXs.tune(layer, { ...loraXs.defaults, r }, [layer]);
  const random = new Random(1);
  const [A, B] = [tensors['xs_A']!, tensors['xs_B']!].map((each) => each.init(random, () => new Float32Array()) as Float32Array) as [Float32Array, Float32Array]; // prettier-ignore
  const values = Array.from({ length: r }, (_, k) => Math.sqrt(sum(inputs, (i) => A[k * inputs + i]! ** 2)));
  expect(values).toEqual(values.toSorted((a, b) => b - a));
  for (let k = 0; k < r; k++) {
    for (let l = 0; l < r; l++) expect(sum(out, (o) => B[o * r + k]! * B[o * r + l]!)).toBeCloseTo(Number(k === l), 5);
    // W·v = σ·u, where A has σ·v.
    for (let o = 0; o < out; o++)
      expect(sum(inputs, (i) => W[o * inputs + i]! * A[k * inputs + i]!)).toBeCloseTo(
        values[k]! ** 2 * B[o * r + k]!,
        3,
      );
  }
  // No other vector is made longer.
  const rest = (i: number, o: number): number => W[o * inputs + i]! - sum(r, (k) => B[o * r + k]! * A[k * inputs + i]!);
  let vector = Array.from({ length: inputs }, (_, i) => Math.cos(i));
  let length = 0;
  for (let round = 0; round < 200; round++) {
    const left = Array.from({ length: out }, (_, o) => sum(inputs, (i) => rest(i, o) * vector[i]!));
    const next = Array.from({ length: inputs }, (_, i) => sum(out, (o) => rest(i, o) * left[o]!));
    const norm = Math.hypot(...next);
    length = Math.sqrt(norm / Math.hypot(...vector));
    vector = next.map((each) => each / norm);
  }
  expect(length).toBeLessThan(values[r - 1]!);
  expect(length).toBeGreaterThan(0.5);
});

function sum(count: number, of: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += of(i);
  return total;
}
