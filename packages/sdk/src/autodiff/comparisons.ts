/** @file Comparisons of floats in the operators that every opset and provider has. */

import type { GraphBuilder, Value } from '../graph/builder.ts';

/** Where `a = b`: bool. Equal knows floats since opset 11. */
export function isEqual(g: GraphBuilder, a: Value, b: Value): Value {
  return g.opset >= 11 ? g.Equal(a, b) : g.And(g.Not(g.Less(a, b)), g.Not(g.Greater(a, b)));
}

/** 1, −1, or 0 for zero; Sign itself has no kernel on WebGPU. */
export function signOf(g: GraphBuilder, x: Value): Value {
  return g.Where(g.Greater(x, 0), g.scalar(1, x.type), g.Where(g.Less(x, 0), g.scalar(-1, x.type), 0));
}
