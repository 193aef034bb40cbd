/** @file Rows of weights that are packed in blocks: a product unpacks some at a time, and neither holds nor copies the others. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { attributeProto } from '../../graph/attributes.ts';
import { intAttribute } from '../../graph/walk.ts';
import { nBitsWeight } from '../expand/quantized/blockwise.ts';
import { ExpansionSite } from '../expand/site.ts';

/** Most numbers of a packed weight that are floats at a time: 16 MB stay in the processor's cache. */
export const UNPACKED: number = 1 << 22;

/** The operands of MatMulNBits or MatMulBnb4 behind the first; undefined for absent ones. */
export type PackedOperands = readonly (Value | undefined)[];

/** Rows `[from, to)` of a weight. */
export type RowRange = readonly [from: number, to: number];

/** Ranges of at most `most` numbers, but at least a row; one where blocks do not end with rows. */
export function rowRanges(node: NodeProto, operands: PackedOperands, most: number): RowRange[] {
  const [K, N, block] = ['K', 'N', 'block_size'].map((name) => intAttribute(node, name, 1)) as [number, number, number];
  // The blocks of MatMulBnb4 run across rows.
  const step = node.opType === 'MatMulBnb4' ? block / commonDivisor(block, K) : 1;
  const isDivisible = operands.every((each) => !each || (isStatic(each.shape) && (each.shape[0]! * step) % N === 0));
  const wanted = Math.ceil(N / Math.max(1, Math.ceil((N * K) / most)));
  const each = isDivisible ? Math.ceil(Math.max(1, wanted) / step) * step : N;
  return Array.from({ length: Math.ceil(N / each) }, (_, i) => [i * each, Math.min(N, (i + 1) * each)]);
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The operands of some rows, sliced after a value is computed: else ONNX Runtime slices and unpacks while it loads. */
export function packedRows(
  g: GraphBuilder,
  { node, operands }: { readonly node: NodeProto; readonly operands: PackedOperands },
  [from, to]: RowRange,
  after: Value,
): PackedOperands {
  const N = intAttribute(node, 'N', 1);
  const zero = zeroBehind(g, after);
  return operands.map((value) => {
    if (!value) return undefined;
    const [length = 1, ...others] = value.shape as readonly number[];
    const at = (row: number): Value => g.Add(g.ints([(length / N) * row]), zero);
    const slice = g.emit('Slice', [value, at(from), at(to), g.ints([0])]);
    return { ...slice, type: value.type, shape: [(length / N) * (to - from), ...others] };
  });
}

/** Zero, even for NaN, that depends on a value. */
function zeroBehind(g: GraphBuilder, value: Value): Value {
  const first = g.Slice(g.Reshape(value, [-1]), [0], [1], [0]);
  return g.Cast(g.emit('Less', [first, first]), dataTypeNumber('int64'));
}

/** Whether rows of MatMulNBits are unpacked into halves of blocks: interleaving takes longer than all else. */
export function isInHalves(node: NodeProto, opset: number): boolean {
  return intAttribute(node, 'bits', 4) === 4 && opset >= 11;
}

/**
 * Rows of MatMulNBits as float32 `[count, K]`; undefined for uncovered forms. {@link isInHalves} tells whether each block has
 * its even columns before its odd ones; padding then stays.
 */
export function nBitsRows(
  g: GraphBuilder,
  node: NodeProto,
  operands: PackedOperands,
  count: number,
): Value | undefined {
  // The first operand is not read.
  const all = [{ name: node.input![0]! }, ...operands];
  const types = new Map(all.flatMap((value) => (value ? [[value.name, value] as const] : [])));
  const others = (node.attribute ?? []).filter(({ name }) => name !== 'N');
  const own = {
    ...node,
    input: all.map((value) => value?.name ?? ''),
    attribute: [...others, attributeProto('N', count)],
  };
  const site = new ExpansionSite(own, { types, constants: new Map(), opset: g.opset, prefix: '' }, g);
  return nBitsWeight(site, isInHalves(node, g.opset));
}
