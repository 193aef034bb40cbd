/** @file How far a matrix is from the identity, for losses that keep factors near orthogonal. */

import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';

/** ‖square − I‖ */
export function fromIdentity(g: GraphBuilder, square: Value): Value {
  const n = square.shape![0] as number;
  const identity = Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  const off = g.Sub(square, g.constant({ type: 'float32', dims: [n, n], data: identity }));
  return g.Sqrt(g.ReduceSumSquare(off, [0, 1], false));
}
