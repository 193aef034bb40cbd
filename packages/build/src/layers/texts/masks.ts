/** @file What is added to scores so that some keys are not seen. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/**
 * What a score gets whose key is not seen. Any score vanishes beside it, and it stays finite with one added to it, so that
 * a query which sees nothing gets a mean over all keys, and not NaN.
 */
const UNSEEN = -1e30;

/** Of `seen`, a bool of any shape: 0 where it holds, else so much that the key has no weight. */
export function additive({ g }: Module, seen: Value): Value {
  return g.Where(seen, 0, UNSEEN);
}

/** Of an attention mask `[batch, keys]`, int64, 1 where a key is real: `[batch, 1, 1, keys]`. */
export function paddingMask(m: Module, mask: Value): Value {
  const { g } = m;
  return additive(m, g.Cast(g.Unsqueeze(mask, [1, 2]), 9));
}

/** Added to scores of a sequence on itself so that keys further than `reach` are not seen: `[length, length]`; `length` is `[1]`. */
export function near(m: Module, length: Value, reach: number): Value {
  const { g } = m;
  const places = m.range(0, length);
  const distance = g.Abs(g.Sub(g.Unsqueeze(places, [0]), g.Unsqueeze(places, [1])));
  return additive(m, g.LessOrEqual(distance, g.scalar(reach, 'int64')));
}

/** Which keys come before the query, or are it: bool `[queries, keys]` for as many, `length` is `[1]`. */
export function causal(m: Module, length: Value): Value {
  const { g } = m;
  const places = m.range(0, length);
  return g.LessOrEqual(g.Unsqueeze(places, [0]), g.Unsqueeze(places, [1]));
}
