/** @file Gradients of MatMul and Gemm: three quarters of a training step's work. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { asRows, input, rankOf, reshapeLike, swapLast, type Vjp, type VjpSite } from './vjp.ts';
import { attributeOf } from '../ops/schema.ts';

/**
 * dA of A·B. For a 2-D B, one Gemm with transB over all rows: as fast as the forward product, native everywhere, and
 * unlike `Transpose(B)` without a second copy of every frozen weight.
 */
export const matMulLeft: Vjp = (site) => {
  const { g, dy } = site;
  const [a, b] = [input(site, 0), input(site, 1)];
  if (rankOf(b) === 2 && rankOf(a) >= 2) {
    return reshapeLike(g, g.Gemm(asRows(g, dy), b, undefined, { transB: true }), a);
  }
  const { value, factor } = unscaled(site, b);
  const { b: matrix, dy: rows } = withoutVectors(g, a, value, dy);
  return fit(g, scale(g, g.MatMul(rows, swapLast(g, matrix)), factor), a, rankOf(a) === 1 ? [-2] : []);
};

/** dB of A·B; for a 2-D B, summed over all rows by one Gemm with transA. */
export const matMulRight: Vjp = (site) => {
  const { g, dy } = site;
  const [a, b] = [input(site, 0), input(site, 1)];
  if (rankOf(b) === 2 && rankOf(a) >= 2) {
    return g.Gemm(asRows(g, a), asRows(g, dy), undefined, { transA: true });
  }
  const { value, factor } = unscaled(site, a);
  const { a: matrix, dy: rows } = withoutVectors(g, value, b, dy);
  return fit(g, scale(g, g.MatMul(swapLast(g, matrix), rows), factor), b, rankOf(b) === 1 ? [-1] : []);
};

/** Splits a constant factor off an operand, such as scaled queries, so that the runtime can fuse both scalings. */
function unscaled({ context }: VjpSite, operand: Value): { value: Value; factor: Value | undefined } {
  const node = context.producer(operand.name);
  if (node?.opType === 'Mul' && context.takes('scaleBehindProduct') && context.readers(operand.name).length === 1) {
    for (const i of [0, 1]) {
      const [factor, value] = [context.value(node.input![i]!), context.value(node.input![1 - i]!)];
      const isConstant = !context.producer(factor.name) || context.producer(factor.name)?.opType === 'Constant';
      if (factor.shape?.length === 0 && isConstant && value.shape?.join() === operand.shape?.join())
        return { value, factor };
    }
  }
  return { value: operand, factor: undefined };
}

function scale(g: GraphBuilder, value: Value, factor: Value | undefined): Value {
  return factor ? g.Mul(value, factor) : value;
}

function withoutVectors(g: GraphBuilder, a: Value, b: Value, dy: Value): { a: Value; b: Value; dy: Value } {
  const left = rankOf(a) === 1 ? g.Unsqueeze(a, [0]) : a;
  const right = rankOf(b) === 1 ? g.Unsqueeze(b, [1]) : b;
  let rows = dy;
  if (rankOf(b) === 1) rows = g.Unsqueeze(rows, [rankOf(rows)]);
  if (rankOf(a) === 1) rows = g.Unsqueeze(rows, [rankOf(rows) - 1]);
  return { a: left, b: right, dy: rows };
}

function fit(g: GraphBuilder, gradient: Value, like: Value, squeeze: readonly number[]): Value {
  if (squeeze.length === 0) return gradient;
  const rank = rankOf(gradient);
  return rank > rankOf(like)
    ? g.Squeeze(
        gradient,
        squeeze.map((axis) => axis + rank),
      )
    : gradient;
}

/**
 * dA (index 0) or dB (index 1) of α·op(A)·op(B):
 *
 * | op(A)·op(B) | dA    | dB    |
 * | ----------- | ----- | ----- |
 * | A·B         | dy·Bᵀ | Aᵀ·dy |
 * | A·Bᵀ        | dy·B  | dyᵀ·A |
 * | Aᵀ·B        | B·dyᵀ | A·dy  |
 * | Aᵀ·Bᵀ       | Bᵀ·dyᵀ| dyᵀ·Aᵀ|
 */
export const gemmInput: Vjp = (site, index) => {
  const { g, dy, node } = site;
  const [a, b] = [input(site, 0), input(site, 1)];
  const transA = attributeOf(node, 'transA') === 1;
  const transB = attributeOf(node, 'transB') === 1;
  const alpha = attributeOf(node, 'alpha');
  const scale = alpha === 1 ? {} : { alpha };
  if (index === 0) {
    return transA
      ? g.Gemm(b, dy, undefined, { transA: transB, transB: true, ...scale })
      : g.Gemm(dy, b, undefined, { transB: !transB, ...scale });
  }
  return transB
    ? g.Gemm(dy, a, undefined, { transA: true, transB: transA, ...scale })
    : g.Gemm(a, dy, undefined, { transA: !transA, ...scale });
};
