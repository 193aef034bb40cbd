/** @file Additive attention masks. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

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
export function near(m: Module, length: Value, reach: number): Value {
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
