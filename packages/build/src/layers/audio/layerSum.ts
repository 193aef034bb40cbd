/** @file Weighted sum of all layers' states, as in the heads of SUPERB: Yang et al. 2021. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Mean of states `[batch, length, width]`, weighted by the softmax of `layer_weights`. */
export function weightedSum(m: Module, states: readonly Value[]): Value {
  const { g } = m;
  const weights = g.Softmax(m.parameter('layer_weights', [states.length]), 0);
  const parts = states.map((each, i) => g.Mul(each, g.Slice(weights, [i], [i + 1], [0])));
  return parts.reduce((sum, each) => g.Add(sum, each));
}
