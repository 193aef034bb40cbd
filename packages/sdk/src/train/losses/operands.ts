/** @file Operands of losses: shape checks, type conversion, constants. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { formatShape, isStatic } from '../../graph/value.ts';
import { sizeOf, type Tensor } from '../../runtime/tensor.ts';

/** Casts x to float32 if it has fewer bits, for exact sums over thousands of classes or frames. */
export function wide(g: GraphBuilder, x: Value): Value {
  return x.type === 'float16' || x.type === 'bfloat16' ? g.Cast(x, dataTypeNumber('float32')) : x;
}

/** Casts `value` to the element type of `like`. */
export function typed(g: GraphBuilder, value: Value, like: Value): Value {
  return value.type === like.type ? value : g.Cast(value, dataTypeNumber(like.type ?? 'float32'));
}

/** Whether the value holds floats. */
export function isFloat({ type }: Value): boolean {
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64';
}

/** The static shape of an operand. @throws OnnxLoraError `MODEL_UNSUPPORTED` if the graph does not determine it */
export function shapeOf(value: Value): readonly number[] {
  if (isStatic(value.shape)) return value.shape;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `A loss needs the shape of "${value.name}", which is ${formatShape(value.shape)} from the graph alone. Give sizes to its dynamic dimensions.`,
  );
}

/** Requires operands of one shape; broadcasting would pair all rows. @throws OnnxLoraError `PLUGIN_INVALID` */
export function sameShape(loss: string, a: Value, b: Value): readonly number[] {
  const shape = shapeOf(a);
  if (shape.join() === shapeOf(b).join()) return shape;
  throw invalid(
    `${loss} compares values of one shape, but "${a.name}" is ${formatShape(shape)} and "${b.name}" ${formatShape(b.shape)}.`,
  );
}

/** The error for a wrong call by a task's author. */
export function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('PLUGIN_INVALID', `Task author: ${message}`);
}

/** Flattens x to a matrix `[rows, last]`. */
export function rowsOf(g: GraphBuilder, x: Value): Value {
  if (x.shape?.length === 2) return x;
  const shape = shapeOf(x);
  return g.Reshape(x, [sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
}

/** Number of classes of scores `[rows, classes]`; rows may be dynamic. */
export function classesOf({ name, type, shape }: Value): number {
  return shapeOf({ name, type, shape: shape?.slice(-1) })[0]!;
}

/** A constant of these numbers in the element type of `like`. */
export function numbers(g: GraphBuilder, values: ArrayLike<number>, dims: readonly number[], like: Value): Value {
  const tensor: Tensor =
    like.type === 'float64'
      ? { type: 'float64', dims, data: Float64Array.from(values) }
      : { type: 'float32', dims, data: Float32Array.from(values) };
  return g.constant(tensor);
}

/** An int32 constant of these integers: WebGPU has no int64 arithmetic. */
export function int32(g: GraphBuilder, values: readonly number[], dims: readonly number[]): Value {
  return g.constant({ type: 'int32', dims, data: Int32Array.from(values) });
}

/** 0 to `size − 1`. */
export function range(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i);
}
