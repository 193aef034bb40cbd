/** @file What is added to attention scores by position: GatedRelativePositionBias; and BiasSoftmax, which adds it. */

import { splitHeads } from './scaledDotProduct.ts';
import { rankOf, type Rule, staticDim } from './site.ts';

/**
 * The bias `[1, heads, queries, keys]`, weighted by each query: `(u·(r·eco_a − 1) + 2) · bias`, where u and r are sigmoids
 * of the sums of both halves of `query · weight + bias`. Query `[batch, positions, hidden]`. Not: packed batches.
 */
export const gatedRelativePositionBias: Rule = (site) => {
  const [query, queryBias, bias, weight, gateBias, eco, offset] = site.inputs;
  const heads = site.int('num_heads', 0);
  const width = staticDim(weight, 1);
  if (!query || !queryBias || !bias || !weight || !gateBias || !eco || offset || heads < 1) return undefined;
  if (rankOf(query) !== 3 || width === undefined || width % 2 !== 0) return undefined;
  const { g } = site;
  const q = splitHeads(site, g.Add(query, queryBias), heads);
  const product = g.Add(site.layer(g.MatMul(q, weight), 'gate_ur_linear'), gateBias);
  const [u, r] = g.Split(product, [width / 2, width / 2], 3).map((half) => g.Sigmoid(g.ReduceSum(half, [3], true)));
  const gate = g.Add(g.Mul(u!, g.Sub(g.Mul(r!, eco), site.scalar(1))), site.scalar(2));
  return g.Mul(gate, bias);
};

/** `softmax(data + bias)` over the last axis, the bias of as many dimensions, with sizes of 1 where it is broadcast. */
export const biasSoftmax: Rule = (site) => {
  const [x, bias] = site.inputs;
  const rank = rankOf(x);
  const axis = site.int('axis', 1);
  if (!x || !bias || rank === undefined || rankOf(bias) !== rank || ![-1, rank - 1].includes(axis)) return undefined;
  return site.g.Softmax(site.g.Add(x, bias), -1);
};
