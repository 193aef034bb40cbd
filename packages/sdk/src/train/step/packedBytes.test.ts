/** @file Weights count once for each way in which products read them. */

import { expect, it } from 'vitest';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import { floatTensor } from '../../match/weights/plain.ts';
import { packedBytes } from './packedBytes.ts';

it('counts what products read, and how', () => {
  const g = new WeightBuilder(17, '/');
  const weight = (...dims: number[]) => g.floats(new Array<number>(dims.reduce((a, b) => a * b)).fill(1), dims);
  const [x, dy] = [weight(2, 4), weight(2, 8)];
  const [w, table, bias] = [weight(4, 8), weight(100, 4), weight(8)];
  g.Add(g.MatMul(x, w), bias);
  g.MatMul(g.Gather(table, g.scalar(3, 'int64'), 0), w);
  const once = packedBytes({ node: g.nodes, initializer: g.initializers });
  expect(once).toBe(4 * 4 * 8);
  g.Gemm(dy, w, undefined, { transB: true });
  expect(packedBytes({ node: g.nodes, initializer: g.initializers })).toBe(2 * once);
});

it('counts a weight behind a Transpose or a Cast, in float32', () => {
  const g = new WeightBuilder(17, '/');
  const [x, dy, w] = [g.floats(new Array<number>(8).fill(1), [2, 4]), g.floats(new Array<number>(16).fill(1), [2, 8]), g.floats(new Array<number>(32).fill(1), [8, 4])]; // prettier-ignore
  const turned = g.Transpose(w, [1, 0]);
  g.MatMul(x, turned);
  expect(packedBytes({ node: g.nodes, initializer: g.initializers })).toBe(4 * 32);
  g.Gemm(dy, turned, undefined, { transB: true });
  g.MatMul(dy, w);
  expect(packedBytes({ node: g.nodes, initializer: g.initializers })).toBe(2 * 4 * 32);
  const half = g.add(floatTensor('', 'bfloat16', new Float32Array(32), [8, 4]));
  g.MatMul(x, g.Transpose(g.Cast(half, 1), [1, 0]));
  expect(packedBytes({ node: g.nodes, initializer: g.initializers })).toBe(3 * 4 * 32);
});

it('leaves the codes of MatMulNBits out, which are packed in any case', () => {
  const g = new WeightBuilder(17, '/');
  const codes = g.constant({ type: 'uint8', dims: [8, 1, 8], data: new Uint8Array(64) });
  const operands = [
    g.floats(new Array<number>(32).fill(1), [2, 16]),
    codes,
    g.floats(new Array<number>(8).fill(1), [8]),
  ];
  g.emit('MatMulNBits', operands, { K: 16, N: 8, bits: 4, block_size: 16 }, 'com.microsoft');
  expect(packedBytes({ node: g.nodes, initializer: g.initializers })).toBe(0);
});
