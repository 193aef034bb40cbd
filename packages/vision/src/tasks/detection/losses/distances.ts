/**
 * @file Boxes as distributions of distances from places to edges, and the loss of their bins.
 *
 * @see Li et al., "Generalized Focal Loss" (2020), arXiv:2006.04388
 */

import { float32 } from '@onnx-lora/sdk';
import { crossEntropy, type GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import type { Edges } from './boxes.ts';

/** Places with the scores of their bins. */
export interface BinnedPlaces {
  /** `[batch, places, 4 · bins]`. */
  readonly scores: Value;
  readonly bins: number;
  /** Centers in places of their level: `[1, 1, places]`. */
  readonly x: Value;
  readonly y: Value;
}

/** Edges in places of their level: the mean distances to left, top, right and bottom, each `[batch, 1, places]`. */
export function edgesOfBins(g: GraphBuilder, { scores, bins, x, y }: BinnedPlaces): Edges {
  const [batch, places] = scores.shape as [number, number];
  const shares = g.Softmax(g.Reshape(scores, [batch * places * 4, bins]), 1);
  const distances = g.Reshape(g.ReduceSum(g.Mul(shares, steps(g, bins)), [1], false), [batch, places, 4]);
  const [left, top, right, bottom] = g.Split(g.Transpose(distances, [0, 2, 1]), [1, 1, 1, 1], 1) as [Value, Value, Value, Value]; // prettier-ignore
  return { left: g.Sub(x, left), top: g.Sub(y, top), right: g.Add(x, right), bottom: g.Add(y, bottom) };
}

/**
 * Distribution focal loss, the mean of the four edges: `[batch, places]`.
 * @param own edges of each place's object, in places of its level: `[batch, 1, places]`
 */
export function binCosts(g: GraphBuilder, { scores, bins, x, y }: BinnedPlaces, own: Edges): Value {
  const [batch, places] = scores.shape as [number, number];
  const wanted = g.Concat([g.Sub(x, own.left), g.Sub(y, own.top), g.Sub(own.right, x), g.Sub(own.bottom, y)], 1);
  const distance = g.Reshape(g.Transpose(wanted, [0, 2, 1]), [batch * places * 4, 1]);
  const inside = g.Max(g.Min(distance, bins - 1 - 0.01), 0);
  const shares = g.Relu(g.Sub(g.scalar(1), g.Abs(g.Sub(inside, steps(g, bins)))));
  const all = g.Reshape(scores, [batch * places * 4, bins]);
  const costs = g.Reshape(crossEntropy(g, all, shares, { reduction: 'none' }), [batch, places, 4]);
  return g.ReduceMean(costs, [2], false);
}

function steps(g: GraphBuilder, bins: number): Value {
  return g.constant(float32(Array.from({ length: bins }, (_, i) => i), [1, bins])); // prettier-ignore
}
