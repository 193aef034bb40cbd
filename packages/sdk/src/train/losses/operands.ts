/** @file What losses ask of their operands: known shapes that fit together, and floats that sums are exact enough in. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { formatShape, isStatic } from '../../graph/value.ts';
import { sizeOf, type Tensor } from '../../runtime/tensor.ts';

/** x in float32 where it has fewer bits: sums over thousands of classes or frames need them. */
export function wide(g: GraphBuilder, x: Value): Value {
  return x.type === 'float16' || x.type === 'bfloat16' ? g.Cast(x, dataTypeNumber('float32')) : x;
}

/** `value` in the element type of `like`. */
export function typed(g: GraphBuilder, value: Value, like: Value): Value {
  return value.type === like.type ? value : g.Cast(value, dataTypeNumber(like.type ?? 'float32'));
}

/** Whether the value holds floats. */
export function isFloat({ type }: Value): boolean {
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64';
}

/**
 * The shape of an operand, all numbers.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph does not tell it
 */
export function shapeOf(value: Value): readonly number[] {
  if (isStatic(value.shape)) return value.shape;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `A loss needs the shape of "${value.name}", which is ${formatShape(value.shape)} from the graph alone. Give sizes to its dynamic dimensions.`,
  );
}

/**
 * Checks that two operands have one shape: broadcasting `[batch]` against `[batch, 1]` would compare all with all.
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` naming both
 */
export function sameShape(loss: string, a: Value, b: Value): readonly number[] {
  const shape = shapeOf(a);
  if (shape.join() === shapeOf(b).join()) return shape;
  throw invalid(
    `${loss} compares values of one shape, but "${a.name}" is ${formatShape(shape)} and "${b.name}" ${formatShape(b.shape)}.`,
  );
}

/** The error for a call that a task's author has to correct. */
export function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('PLUGIN_INVALID', `Task author: ${message}`);
}

/** x as a matrix `[rows, last]`: all axes but the last are joined. */
export function rowsOf(g: GraphBuilder, x: Value): Value {
  if (x.shape?.length === 2) return x;
  const shape = shapeOf(x);
  return g.Reshape(x, [sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
}

/** How many classes scores `[rows, classes]` are of; rows may be as many as only running tells. */
export function classesOf({ name, type, shape }: Value): number {
  return shapeOf({ name, type, shape: shape?.slice(-1) })[0]!;
}

/** These numbers as a constant in the element type of `like`. */
export function numbers(g: GraphBuilder, values: ArrayLike<number>, dims: readonly number[], like: Value): Value {
  const tensor: Tensor =
    like.type === 'float64'
      ? { type: 'float64', dims, data: Float64Array.from(values) }
      : { type: 'float32', dims, data: Float32Array.from(values) };
  return g.constant(tensor);
}

/** These whole numbers as an int32 constant: WebGPU has no arithmetic on int64. */
export function int32(g: GraphBuilder, values: readonly number[], dims: readonly number[]): Value {
  return g.constant({ type: 'int32', dims, data: Int32Array.from(values) });
}

/** 0 to `size − 1`. */
export function range(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i);
}
