/** @file Static type of a value: element type, shape, and contents of small integer tensors. */

import type { DataType } from '../runtime/tensor.ts';

/** A dimension: its size, or the name of a dynamic one. Equal names mean equal sizes. */
export type Dim = number | string;

/** The static type of a value. Absent fields are unknown. */
export interface ValueType {
  /** The element type. */
  readonly type?: DataType | undefined;
  /** One size or symbol per dimension; empty for a scalar. */
  readonly shape?: readonly Dim[] | undefined;
  /** Contents of a small integer tensor, row-major: a shape for Reshape, Expand or Slice, or pads. */
  readonly ints?: readonly Dim[] | undefined;
}

/** `[batch, 197, 384]`, or `unknown` without a shape. */
export function formatShape(shape: readonly Dim[] | undefined): string {
  return shape ? `[${shape.join(', ')}]` : 'unknown';
}

/** True when every dimension is a number. */
export function isStatic(shape: readonly Dim[] | undefined): shape is readonly number[] {
  return shape !== undefined && shape.every((dim) => typeof dim === 'number');
}
