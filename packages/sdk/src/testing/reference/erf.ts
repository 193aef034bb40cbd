/** @file Gauss's error function in double precision, from operators that ONNX Runtime computes in it: it has no such Erf. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/** Points of the quadrature, with which the error stays below 1e-13. */
const POINTS = 32;

/** Beyond it, erf is 1 to the last digit. */
const LARGEST = 6;

/** `2x ÷ √π · ∫₀¹ exp(−x²t²) dt`, by Gauss and Legendre's quadrature. */
export function erfFloat64(g: GraphBuilder, x: Value): Value {
  const { nodes, weights } = gaussLegendre(POINTS);
  const bounded = g.Max(g.Min(x, LARGEST), -LARGEST);
  const squares = g.constant(float64(nodes.map((t) => -t * t), [1, POINTS])); // prettier-ignore
  const column = g.constant(float64(weights.map((w) => (2 * w) / Math.sqrt(Math.PI)), [POINTS, 1])); // prettier-ignore
  const flat = g.Reshape(bounded, [-1, 1]);
  const integral = g.MatMul(g.Exp(g.Mul(g.Mul(flat, flat), squares)), column);
  return g.Mul(bounded, g.Reshape(integral, g.Shape(x)));
}

/** Nodes and weights on [0, 1]: roots of Legendre's polynomial of degree n, found by Newton's method. */
function gaussLegendre(n: number): { readonly nodes: readonly number[]; readonly weights: readonly number[] } {
  const nodes: number[] = [];
  const weights: number[] = [];
  for (let k = 1; k <= n; k++) {
    let x = Math.cos((Math.PI * (k - 0.25)) / (n + 0.5));
    let slope = 1;
    for (let round = 0; round < 10; round++) {
      let [before, value] = [1, x];
      for (let degree = 2; degree <= n; degree++)
        [before, value] = [value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree];
      slope = (n * (x * value - before)) / (x * x - 1);
      x -= value / slope;
    }
    nodes.push((1 + x) / 2);
    weights.push(1 / ((1 - x * x) * slope * slope));
  }
  return { nodes, weights };
}

function float64(values: readonly number[], dims: readonly number[]): Tensor {
  return { type: 'float64', dims, data: Float64Array.from(values) };
}
