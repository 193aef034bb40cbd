/** @file Sentence embeddings: Reimers and Gurevych 2019. */

import type { SentencePooling } from '@onnx-lora/sdk/data';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Declares `last_hidden_state`, and `sentence_embedding` if the checkpoint configures pooling. */
export function stateOutputs(m: Module, states: Value, mask: Value, pooling: SentencePooling | undefined): void {
  m.graph.output('last_hidden_state', states);
  if (!pooling) return;
  const pooled = pool(m, states, mask, pooling.mode);
  m.graph.output('sentence_embedding', pooling.isNormalized ? normalized(m, pooled) : pooled);
}

function pool(m: Module, states: Value, mask: Value, mode: SentencePooling['mode']): Value {
  const { g } = m;
  if (mode === 'cls') return m.row(states, 0);
  if (mode === 'max') return g.ReduceMax(g.Where(g.Cast(g.Unsqueeze(mask, [2]), 9), states, -1e9), [1], false);
  return meanOfReal(m, states, mask);
}

/** Masked mean: `[batch, length, width]` and a mask `[batch, length]` → `[batch, width]`. */
export function meanOfReal(m: Module, states: Value, mask: Value): Value {
  const { g } = m;
  const weights = m.floats(g.Unsqueeze(mask, [2]));
  const real = g.Max(g.ReduceSum(weights, [1], false), 1e-9);
  return g.Div(g.ReduceSum(g.Mul(states, weights), [1], false), real);
}

/** L2-normalises the last dimension. */
export function normalized({ g }: Module, x: Value): Value {
  return g.Div(x, g.Max(g.ReduceL2(x, [-1], true), 1e-12));
}
