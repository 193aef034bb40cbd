/** @file LoftQ: weights in fewer bits and an adapter that together are nearer than the weights alone, against golden numbers and by formula. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, goldenMatrix } from '../../../fixtures/inits/mlp.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { addScaled, type Matrix, matmul, matrix, scaleColumns } from '../../linalg/matrix.ts';
import type { Rows } from '../../ops/quantization/blocks.ts';
import { type QuantizedBits, quantizeMatrix } from '../../ops/quantization/forms.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import { loftqMatrix } from './loftq.ts';
import { quantize } from './quantize.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-loftq-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const norm = ({ data }: Matrix): number => Math.hypot(...data);
const nf4 = { bits: 'nf4', blockSize: 64 } as const;

function rowsOf(layer: string): Rows {
  const { data, dims } = golden(`base.${layer}.weight`);
  return { values: data as Float32Array, out: dims[0]!, width: dims[1]! };
}

describe.each(['fc1', 'fc2'])('of %s', (layer) => {
  const rows = rowsOf(layer);
  const weight = matrix(rows.out, rows.width, rows.values);
  const found = (iterations: number): { restored: Matrix; product: Matrix; error: number } => {
    const { quantized, components, error } = loftqMatrix(rows, nf4, { r: 4, iterations }, new Random(1));
    const product = matmul(scaleColumns(components.U, components.S), components.V, { transposeB: true });
    return { restored: matrix(rows.out, rows.width, quantized.restored), product, error };
  };
  const given = (name: string): { base: Matrix; product: Matrix } => ({
    base: goldenMatrix(`${name}.${layer}.base`),
    product: matmul(goldenMatrix(`${name}.${layer}.lora_B`), goldenMatrix(`${name}.${layer}.lora_A`)),
  });

  it('one turn is that of the golden numbers', () => {
    const [own, wanted] = [found(1), given('loftq-nf4-1')];
    expect(norm(addScaled(own.restored, wanted.base, -1))).toBeLessThan(1e-6 * norm(weight));
    expect(norm(addScaled(own.product, wanted.product, -1))).toBeLessThan(1e-4 * norm(wanted.product));
  });

  it('five turns come as near as the golden numbers, and nearer than one', () => {
    const [own, wanted] = [found(5), given('loftq-nf4-5')];
    const error = norm(addScaled(addScaled(weight, wanted.base, -1), wanted.product, -1)) / norm(weight);
    expect(own.error).toBeLessThanOrEqual(error * (1 + 1e-5));
    expect(own.error).toBeLessThan(found(1).error);
    const left = norm(addScaled(addScaled(weight, own.restored, -1), own.product, -1)) / norm(weight);
    expect(own.error).toBeCloseTo(left, 6);
  });
});

it('finds components of large weights that are as good as the first', () => {
  // The first r of n components of normal numbers hold little more than their share, by any method.
  const random = new Random(7);
  const rows: Rows = { values: Float32Array.from({ length: 160 * 200 }, () => random.normal()), out: 160, width: 200 };
  const { restored } = quantizeMatrix(rows, nf4);
  const lost = norm(matrix(160, 200, rows.values.map((value, i) => value - restored[i]!))); // prettier-ignore
  const { error } = loftqMatrix(rows, nf4, { r: 16 }, random);
  expect(error).toBeLessThan((0.88 * lost) / norm(matrix(160, 200, rows.values)));
});

const base = path.join(folder, 'base.onnx');
writeOnnx(base, linearNet({ inputs: 64, hidden: 96, layers: 2, outputs: 4 }));
const random = new Random(5);
const x = {
  x: float32(
    Float32Array.from({ length: 16 * 64 }, () => random.normal()),
    [16, 64],
  ),
};

async function answers(model: Model, adapter?: Adapter): Promise<Matrix> {
  const session = await model.session({ provider: 'cpu', worker: false, ...(adapter && { adapters: { adapter } }) });
  try {
    const { logits } = await session.run(x, { adapter: adapter ? 'adapter' : null });
    return matrix(16, 4, logits!.data as Float32Array);
  } finally {
    await session.release();
  }
}

describe.each([8, 4, 'nf4'] as const satisfies QuantizedBits[])('a file of %s bits with its adapter', (bits) => {
  const file = path.join(folder, `${bits}.onnx`);
  it('is nearer to the base than alone: its weights by as much as is said, and its answers', async () => {
    const original = await openModel(base);
    const { layers, adapter } = await quantize(original, file, { bits, smallest: 1, loftq: { r: 6, loraAlpha: 9, iterations: 3 } }); // prettier-ignore
    expect(adapter!.config).toMatchObject({ r: 6, loraAlpha: 9, initLoraWeights: true });
    const model = await openModel(file);
    for (const { module, error, errorWithAdapter } of layers) {
      const [weight, rounded] = [original, model].map((each) => {
        const { weight: own, weightShape } = each.sitesByPath().get(module)!;
        const [rows, columns] = own.layout === 'out-in' ? weightShape : weightShape.toReversed();
        const values = matrix(rows!, columns!, own.stored.read());
        return own.layout === 'out-in' ? values : matmul(values, identity(rows!), { transposeA: true });
      }) as [Matrix, Matrix];
      const [A, B] = ['lora_A', 'lora_B'].map((name) => {
        const { dims, data } = adapter!.tensors.get(`base_model.model.${module}.${name}.weight`)!;
        return matrix(dims[0]!, dims[1]!, data as Float32Array);
      }) as [Matrix, Matrix];
      const lost = addScaled(weight, rounded, -1);
      expect(error).toBeCloseTo(norm(lost) / norm(weight), 6);
      expect(errorWithAdapter).toBeCloseTo(norm(addScaled(lost, matmul(B, A), -9 / 6)) / norm(weight), 5);
      expect(errorWithAdapter!).toBeLessThan(0.9 * error);
    }
    const exact = await answers(original);
    const off = (found: Matrix): number => norm(addScaled(found, exact, -1)) / norm(exact);
    // It is the adapter of this file by its weights, too.
    expect(off(await answers(model, adapter))).toBeLessThan(off(await answers(model)));
  });

  it('is no adapter of the base', async () => {
    const { adapter } = await quantize(await openModel(base), file, {
      bits,
      smallest: 1,
      loftq: { r: 2 },
      overwrite: true,
    });
    await expect((await openModel(base)).place(adapter!)).rejects.toThrow(/had lost to rounding/);
  });
});

function identity(size: number): Matrix {
  return matrix(
    size,
    size,
    Float64Array.from({ length: size * size }, (_, i) => Number(i % (size + 1) === 0)),
  );
}

it('layers with fewer components than ranks start with ranks that do nothing yet', async () => {
  const { adapter } = await quantize(await openModel(base), path.join(folder, 'wide.onnx'), { bits: 4, smallest: 1, loftq: { r: 6 } }); // prettier-ignore
  const [A, B] = ['lora_A', 'lora_B'].map((name) => adapter!.tensors.get(`base_model.model.head.${name}.weight`)!);
  expect([A!.dims, B!.dims]).toEqual([[6, 96], [4, 6]]); // prettier-ignore
  const rows = Array.from({ length: 6 }, (_, r) => Math.hypot(...(A!.data as Float32Array).subarray(96 * r, 96 * r + 96))); // prettier-ignore
  expect(rows.every((each) => each > 0)).toBe(true);
  const used = Array.from({ length: 6 }, (_, r) => [0, 1, 2, 3].some((o) => B!.data[6 * o + r] !== 0));
  expect(used).toEqual([true, true, true, true, false, false]);
});

it.each([
  [{ r: 0 }, {}, /loftq\.r \(--loftq-rank\) must be a whole number of at least 1/],
  [{ r: 4, iterations: 0.5 }, {}, /loftq\.iterations/],
  [{ r: 4, loraAlpha: -1 }, {}, /loftq\.loraAlpha must be a number above 0/],
  [{ r: 4 }, { data: [x] }, /LoftQ is for layers with one/],
] as const)('%j %j is refused', async (loftq, more, message) => {
  const done = quantize(await openModel(base), path.join(folder, 'no.onnx'), { bits: 4, smallest: 1, loftq, ...more });
  await expect(done).rejects.toThrow(message);
});
