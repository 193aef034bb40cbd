/** @file Text models: inputs, additive attention masks, and sentence embeddings (Reimers and Gurevych 2019). */

import type { SentencePooling } from '@onnx-lora/sdk/data';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Inputs of a text encoder, int64 `[batch, sequence]`. */
export interface TextInputs {
  readonly ids: Value;
  /** `attention_mask`: 1 for real tokens. */
  readonly mask: Value;
  readonly types?: Value;
}

export interface TextOptions {
  readonly types?: boolean;
  /** Name of the batch dimension, where there are two. */
  readonly batch?: string;
}

/** Declares the inputs of a text encoder. */
export function textInputs({ graph }: Module, { types = false, batch = 'batch_size' }: TextOptions = {}): TextInputs {
  const declare = (name: string): Value => graph.input(name, 'int64', [batch, 'sequence_length']);
  const [ids, mask] = [declare('input_ids'), declare('attention_mask')];
  return { ids, mask, ...(types ? { types: declare('token_type_ids') } : {}) };
}

/** Addend of masked scores. It is finite when doubled: a fully masked query gets a mean over all keys, not NaN. */
const UNSEEN = -1e30;

/** 0 where the bool `seen` holds, else the masking addend. */
export function additive({ g }: Module, seen: Value): Value {
  return g.Where(seen, 0, UNSEEN);
}

/** From an int64 attention mask `[batch, keys]`: `[batch, 1, 1, keys]`. */
export function paddingMask(m: Module, mask: Value): Value {
  const { g } = m;
  return additive(m, g.Cast(g.Unsqueeze(mask, [1, 2]), 9));
}

/** Sliding-window mask `[length, length]` of keys within `reach`; `length` is `[1]`. */
export function slidingWindowMask(m: Module, length: Value, reach: number): Value {
  const { g } = m;
  const places = m.range(0, length);
  const distance = g.Abs(g.Sub(g.Unsqueeze(places, [0]), g.Unsqueeze(places, [1])));
  return additive(m, g.LessOrEqual(distance, g.scalar(reach, 'int64')));
}

/** Causal bool mask `[queries, keys]`; `length` is `[1]`. */
export function causal(m: Module, length: Value): Value {
  const { g } = m;
  const places = m.range(0, length);
  return g.LessOrEqual(g.Unsqueeze(places, [0]), g.Unsqueeze(places, [1]));
}

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
