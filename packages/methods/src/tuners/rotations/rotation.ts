/** @file Rotations: how they are made of skew-symmetric matrices, and how a layer's inputs or its weight are turned. */

import type { Tensor } from '@onnx-lora/sdk';
import type { ByTensor, ChangeOfLayer, ChangeOfWeight, TunedLayer } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { sizeOf } from '../tensors.ts';

/** A matrix of these numbers: `[rows, columns]`. */
export function table(rows: number, columns: number, at: (row: number, column: number) => number): Tensor {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  return { type: 'float32', dims: [rows, columns], data };
}

/** The identity matrix, `[size, size]`. */
export function identity(g: GraphBuilder, size: number): Value {
  return g.constant(table(size, size, (row, column) => Number(row === column)));
}

/** Of square matrices, the last two dimensions swapped. */
export function transposed(g: GraphBuilder, x: Value): Value {
  const rank = x.shape!.length;
  return g.Transpose(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
}

/**
 * Skew-symmetric matrices `[blocks, size, size]`.
 *
 * @param upper what they have above the diagonal, row by row: `[blocks, size·(size−1)/2]`
 */
export function skew(g: GraphBuilder, upper: Value, size: number): Value {
  const [blocks, count] = upper.shape as [number, number];
  // All other places read a zero, which stands behind the numbers.
  let next = 0;
  const places = table(size, size, (row, column) => (row < column ? next++ : count));
  const zero = g.constant({ type: 'float32', dims: [blocks, 1], data: new Float32Array(blocks) });
  const indices = g.ints(Array.from(places.data as Float32Array));
  const half = g.Reshape(g.Gather(g.Concat([upper, zero], 1), indices, 1), [blocks, size, size]);
  return g.Sub(half, transposed(g, half));
}

/** (I + Q)(I − Q)⁻¹ of skew-symmetric matrices `[blocks, size, size]`: Cayley's transform, which is a rotation. */
export function cayley(g: GraphBuilder, Q: Value, size: number): Value {
  const one = identity(g, size);
  return g.Sub(g.Mul(inverse(g, g.Sub(one, Q), size), 2), one);
}

/** How many terms of the series there may be: far more than any that converges needs. */
export const MOST_TERMS = 64;

/** The same by its series, of which PEFT halves the last term: I + 2Q + 2Q² + … + Qⁿ. Nearly a rotation where Q is small. */
export function neumann(g: GraphBuilder, Q: Value, size: number, terms: number): Value {
  const one = g.Expand(identity(g, size), Q.shape as number[]);
  if (terms < 2) return one;
  const last = terms === 2 ? Infinity : Math.max(3, terms - 1);
  let [sum, power] = [g.Add(one, g.Mul(Q, 2)), Q];
  for (let n = 2; n <= Math.min(last, terms); n++) {
    if (last === Infinity) break;
    power = g.MatMul(power, Q);
    sum = g.Add(sum, n === last ? power : g.Mul(power, 2));
  }
  return sum;
}

/**
 * The inverses of matrices `[blocks, size, size]`, by Gauss and Jordan without exchanging rows: for those with leading
 * minors that are not small, such as I − Q with a skew-symmetric Q, triangular and positive definite ones.
 */
export function inverse(g: GraphBuilder, matrices: Value, size: number): Value {
  let result = g.stopGradient(matrices);
  for (let k = 0; k < size; k++) {
    const column = g.Sub(g.Slice(result, [k], [k + 1], [2]), g.constant(table(size, 1, (row) => Number(row === k))));
    const row = g.Add(g.Slice(result, [k], [k + 1], [1]), g.constant(table(1, size, (_, at) => Number(at === k))));
    const pivot = g.Slice(result, [k, k], [k + 1, k + 1], [1, 2]);
    result = g.Sub(result, g.Mul(g.Div(column, pivot), row));
  }
  const found = g.stopGradient(result);
  // A step of Newton's changes only what was rounded, and has the gradient: that of 2Y − Y·A·Y by A is the inverse's own.
  return g.Sub(g.Mul(found, 2), g.MatMul(g.MatMul(found, matrices), found));
}

/** Rows `[..., blocks·size]` times block-diagonal matrices `[blocks, size, size]`, or one for all blocks `[1, size, size]`. */
export function byBlocks(g: GraphBuilder, rows: Value, matrices: Value, blocks: number): Value {
  const size = matrices.shape![2] as number;
  const apart = g.Transpose(g.Reshape(rows, [-1, blocks, size]), [1, 0, 2]);
  return likeRows(g, g.Transpose(g.MatMul(apart, matrices), [1, 0, 2]), rows);
}

/** A value of as many numbers as `rows`, in its shape. */
export function likeRows(g: GraphBuilder, value: Value, rows: Value): Value {
  const { shape } = rows;
  const open = shape?.filter((dim) => typeof dim !== 'number').length ?? 2;
  return g.Reshape(value, open > 1 ? g.Shape(rows) : shape!.map((dim) => (typeof dim === 'number' ? dim : -1)));
}

/** What becomes of rows of a weight, `[..., n]`. */
export type OnRows = (g: GraphBuilder, rows: Value, tensors: ByTensor<Value>) => Value;

/** Why a layer cannot be turned as a whole. */
export function refusedGroups({ in: channels, weightShape, kind }: TunedLayer): string | undefined {
  if (!kind.startsWith('conv') || channels === weightShape[1]) return undefined;
  return 'is a convolution in groups, which PEFT cannot rotate';
}

/** A linear map A of what a layer reads. */
export interface Turn {
  /** rows·Aᵀ: what the layer reads in place of its inputs. */
  readonly inputs: OnRows;
  /** rows·A, of rows of the weight. */
  readonly weight: OnRows;
  /** rows·A⁻¹, which undoes that. */
  readonly back: OnRows;
  /** A factor of each output, `[out, 1]`, which leaves the bias as it is. */
  readonly scale?: (g: GraphBuilder, tensors: ByTensor<Value>) => Value;
}

/** A layer with W·A in place of its weight. A linear one reads other inputs, a convolution gets the change of its filters. */
export function turned(layer: TunedLayer, { inputs, weight, back, scale }: Turn): ChangeOfWeight | ChangeOfLayer {
  const { weightShape, kind, out } = layer;
  const flat = [out, sizeOf(weightShape) / out];
  const changed = (g: GraphBuilder, own: Value, tensors: ByTensor<Value>): Value => {
    const rows = weight(g, g.Reshape(own, flat), tensors);
    return g.Reshape(scale ? g.Mul(rows, scale(g, tensors)) : rows, weightShape);
  };
  const unmerged: Pick<ChangeOfLayer, 'weight'> = {
    weight: (g, own, tensors) => {
      const rows = g.Reshape(own, flat);
      return g.Reshape(back(g, scale ? g.Div(rows, scale(g, tensors)) : rows, tensors), weightShape);
    },
  };
  if (kind !== 'linear') {
    const delta: ChangeOfWeight['delta'] = (g, tensors, own) => g.Sub(changed(g, own(), tensors), own());
    return { readsWeight: true, delta, unmerged };
  }
  return {
    apply: (g, { x, forward }, tensors) => {
      const y = forward(inputs(g, x, tensors));
      if (!scale) return y;
      const factors = g.Reshape(scale(g, tensors), [out]);
      const bias = layer.ownBias();
      if (!bias) return g.Mul(y, factors);
      const own = g.constant({ type: 'float32', dims: [out], data: bias });
      return g.Add(g.Mul(g.Sub(y, own), factors), own);
    },
    weight: changed,
    unmerged,
  };
}
