/** @file Graph fragments that several tuners emit. */

import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { identity } from './rotations/rotation.ts';
import { sizeOf } from './tensors.ts';

/** ‖square − I‖ */
export function fromIdentity(g: GraphBuilder, square: Value): Value {
  const off = g.Sub(square, identity(g, square.shape![0] as number));
  return g.Sqrt(g.ReduceSumSquare(off, [0, 1], false));
}

/** ONNX's data type number of int64. */
const INT64 = 7;

/** Zeros of a shape with values at flat int32 places `[count]`. */
export function scattered(g: GraphBuilder, places: Value, values: Value, shape: readonly number[]): Value {
  const none = g.Expand(g.constant({ type: 'float32', dims: [1], data: new Float32Array(1) }), [sizeOf(shape)]);
  const index = g.Unsqueeze(g.Cast(places, INT64), [1]);
  return g.Reshape(g.emit('ScatterND', [none, index, values]), shape);
}
