/** @file Standardization to mean 0 and variance 1 for layer, instance and group normalization, and its gradient. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import { isStatic } from '../../graph/value.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import { axesFrom } from '../vjp.ts';

/** x̂ = (x − mean)·inv with inv = 1/√(var + ε); `axes` of inv have size 1. */
export interface Standardized {
  readonly xhat: Value;
  readonly inv: Value;
  readonly axes: readonly number[];
}

/** Standardizes x over its axes from `first` on, by LayerNormalization (in ONNX Runtime at every opset) if possible. */
export function standardized(g: GraphBuilder, x: Value, first: number, epsilon: number): Standardized {
  const axes = axesFrom(first, x);
  const row = x.shape?.slice(first);
  // For float64 the operator's inverse deviations are float32.
  if (x.type === 'float32' && isStatic(row)) {
    const ones = g.constant(float32(new Float32Array(sizeOf(row)).fill(1), row));
    const attributes = { axis: first, epsilon: float(epsilon) };
    const [xhat, , inv] = g.emitMany('LayerNormalization', [x, ones], 3, attributes);
    return { xhat: xhat!, inv: inv!, axes };
  }
  const centred = g.Sub(x, g.ReduceMean(x, axes, true));
  const variance = g.ReduceMean(g.Mul(centred, centred), axes, true);
  const inv = g.Reciprocal(g.Sqrt(g.Add(variance, epsilon)));
  return { xhat: g.Mul(centred, inv), inv, axes };
}

/** `inv·(d − mean(d) − x̂·mean(d·x̂))`: x's cotangent from d of x̂. @param factor replaces inv, with row scales */
export function standardizedBack(
  g: GraphBuilder,
  d: Value,
  { xhat, inv, axes }: Standardized,
  factor: Value = inv,
): Value {
  const along = g.ReduceMean(g.Mul(d, xhat), axes, true);
  return g.Mul(g.Sub(g.Sub(d, g.ReduceMean(d, axes, true)), g.Mul(xhat, along)), factor);
}
