/** @file Mixing the states of all layers, as the heads of SUPERB do: Yang et al. 2021. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** The mean of states `[batch, length, width]`, weighted by the softmax of the parameter `layer_weights`. */
export function weightedSum(m: Module, states: readonly Value[]): Value {
  const { g } = m;
  const weights = g.Softmax(m.parameter('layer_weights', [states.length]), 0);
  const parts = states.map((each, i) => g.Mul(each, g.Slice(weights, [i], [i + 1], [0])));
  return parts.reduce((sum, each) => g.Add(sum, each));
}
