/** @file Rough CPU cost of nodes, for weighing recomputation against storage. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { isReshape } from '../../ops/axes.ts';
import { attributeOf, equationOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Nanoseconds per floating-point operation of a product: 50 billion a second. */
const PER_FLOP = 0.02;
/** Nanoseconds per element read or written. */
const PER_NUMBER = 0.3;

/** Estimated nanoseconds of a node; 0 for mere reshapes. */
export function costOf(node: NodeProto, types: ReadonlyMap<string, ValueType>): number {
  if (isReshape(node) || node.opType === 'Identity' || node.opType === 'Dropout') return 0;
  const sizes = [...(node.input ?? []), ...(node.output ?? [])].map((name) => sizeOf(dims(name, types)));
  const numbers = sizes.reduce((a, b) => a + b, 0);
  return PER_FLOP * flops(node, types) + PER_NUMBER * numbers;
}

/** The shape of a value; a scalar's if unknown, which counts little. */
function dims(name: string | undefined, types: ReadonlyMap<string, ValueType>): readonly number[] {
  const shape = name ? types.get(name)?.shape : undefined;
  return isStatic(shape) ? shape : [];
}

/** Floating-point operations of products; 0 for other operators. */
function flops(node: NodeProto, types: ReadonlyMap<string, ValueType>): number {
  const [a, b, c] = [0, 1, 2].map((i) => dims(node.input?.[i], types)) as [number[], number[], number[]];
  const y = sizeOf(dims(node.output?.[0], types));
  const width = a.at(-1) ?? 1;
  switch (node.opType) {
    case 'MatMul':
    case 'MatMulNBits':
    case 'MatMulBnb4':
    case 'FusedMatMul':
      return 2 * y * width;
    case 'Gemm':
      return 2 * y * (attributeOf(node, 'transA') === 1 ? (a[0] ?? 1) : width);
    case 'Conv':
      return 2 * y * sizeOf(b.slice(1));
    case 'ConvTranspose':
      return 2 * sizeOf(a) * sizeOf(b.slice(1));
    case 'Einsum':
      return 2 * letters(node, [a, b, c]);
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return 2 * (a[0] ?? 1) * (a[1] ?? 1) * (sizeOf(b) + sizeOf(c));
    case 'Attention':
      // Packed weights are a matrix; otherwise it is the keys.
      return b.length === 2 ? 2 * sizeOf(a) * (b[1] ?? 1) + 4 * sizeOf(a) * (a[1] ?? 1) : attention(a, b);
    case 'MultiHeadAttention':
    case 'GroupQueryAttention':
      return attention(a, b);
    default:
      return 0;
  }
}

/** Scores and their product with the values; positions are the last axis but one. */
function attention(queries: readonly number[], keys: readonly number[]): number {
  return 4 * sizeOf(queries) * ((keys.length > 2 ? keys : queries).at(-2) ?? 1);
}

/** The product of the sizes of all letters. */
function letters(node: NodeProto, operands: readonly (readonly number[])[]): number {
  const sizes = new Map<string, number>();
  equationOf(node).terms.forEach((term, i) => {
    [...term.replace('...', '')].forEach((letter, k) => sizes.set(letter, operands[i]?.[k] ?? 1));
  });
  return [...sizes.values()].reduce((a, b) => a * b, 1);
}
