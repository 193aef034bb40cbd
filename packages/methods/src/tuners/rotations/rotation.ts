/** @file Rotations: from skew-symmetric matrices, and their application to a layer's inputs or weight. */

import type { Tensor } from '@onnx-lora/sdk';
import type { ByTensor, ChangeOfLayer, ChangeOfWeight, TargetLayer } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { sizeOf } from '../tensors.ts';

/** Constant matrix `[rows, columns]` from a function. */
export function table(rows: number, columns: number, at: (row: number, column: number) => number): Tensor {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  return { type: 'float32', dims: [rows, columns], data };
}

/** Identity matrix `[size, size]`. */
export function identity(g: GraphBuilder, size: number): Value {
  return g.constant(table(size, size, (row, column) => Number(row === column)));
}

/** Swaps the last two dimensions. */
export function transposed(g: GraphBuilder, x: Value): Value {
  const rank = x.shape!.length;
  return g.Transpose(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
}

/** Skew-symmetric `[blocks, size, size]` from its upper triangle, row by row: `[blocks, size·(size−1)/2]`. */
export function skew(g: GraphBuilder, upper: Value, size: number): Value {
  const [blocks, count] = upper.shape as [number, number];
  // All other places read the appended zero.
  let next = 0;
  const places = table(size, size, (row, column) => (row < column ? next++ : count));
  const zero = g.constant({ type: 'float32', dims: [blocks, 1], data: new Float32Array(blocks) });
  const indices = g.ints(Array.from(places.data as Float32Array));
  const half = g.Reshape(g.Gather(g.Concat([upper, zero], 1), indices, 1), [blocks, size, size]);
  return g.Sub(half, transposed(g, half));
}

/** Cayley's transform (I + Q)(I − Q)⁻¹ of skew-symmetric `[blocks, size, size]`: a rotation. */
export function cayley(g: GraphBuilder, Q: Value, size: number): Value {
  const one = identity(g, size);
  return g.Sub(g.Mul(inverse(g, g.Sub(one, Q), size), 2), one);
}

/** Upper bound of the series' terms, far more than convergence needs. */
export const MOST_TERMS = 64;

/** The truncated series I + 2Q + 2Q² + … + Qⁿ (PEFT halves the last term): nearly a rotation for small Q. */
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
 * Inverses of `[blocks, size, size]` by Gauss–Jordan without pivoting, for leading minors well away from zero: I − Q
 * for skew-symmetric Q, triangular and positive definite matrices.
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
  // A Newton step removes rounding errors and carries the gradient: that of 2Y − Y·A·Y by A is the inverse's.
  return g.Sub(g.Mul(found, 2), g.MatMul(g.MatMul(found, matrices), found));
}

/** Rows `[..., blocks·size]` times block-diagonal matrices `[blocks, size, size]`, or a shared `[1, size, size]`. */
export function byBlocks(g: GraphBuilder, rows: Value, matrices: Value, blocks: number): Value {
  const size = matrices.shape![2] as number;
  const apart = g.Transpose(g.Reshape(rows, [-1, blocks, size]), [1, 0, 2]);
  return likeRows(g, g.Transpose(g.MatMul(apart, matrices), [1, 0, 2]), rows);
}

/** Reshapes to the shape of `rows`. */
export function likeRows(g: GraphBuilder, value: Value, rows: Value): Value {
  const { shape } = rows;
  const open = shape?.filter((dim) => typeof dim !== 'number').length ?? 2;
  return g.Reshape(value, open > 1 ? g.Shape(rows) : shape!.map((dim) => (typeof dim === 'number' ? dim : -1)));
}

export type OnRows = (g: GraphBuilder, rows: Value, tensors: ByTensor<Value>) => Value;

/** The reason to refuse a grouped convolution. */
export function refusedGroups({ in: channels, weightShape, kind }: TargetLayer): string | undefined {
  if (!kind.startsWith('conv') || channels === weightShape[1]) return undefined;
  return 'is a convolution in groups, which PEFT cannot rotate';
}

export interface InputRotation {
  /** rows·Aᵀ, applied to the inputs. */
  readonly inputs: OnRows;
  /** rows·A, applied to rows of the weight. */
  readonly weight: OnRows;
  /** rows·A⁻¹, its inverse. */
  readonly back: OnRows;
  /** A factor per output, `[out, 1]`; the bias stays. */
  readonly scale?: (g: GraphBuilder, tensors: ByTensor<Value>) => Value;
}

/** Replaces the weight by W·A: on a linear layer's inputs, or as ΔW of a convolution's filters. */
export function withRotatedInputs(
  layer: TargetLayer,
  { inputs, weight, back, scale }: InputRotation,
): ChangeOfWeight | ChangeOfLayer {
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
