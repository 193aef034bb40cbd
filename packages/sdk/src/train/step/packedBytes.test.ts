/** @file Weights count once for each way in which products read them. */

import { expect, it } from 'vitest';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
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
