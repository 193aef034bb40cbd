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
