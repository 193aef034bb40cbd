/** @file MatMulBnb4, MatMulNBits and GatherBlockQuantized: blockwise quantized weights. */

import type { Value } from '../../../graph/builder.ts';
import { product } from './qLinear.ts';
import { type ExpansionSite, type Rule, staticShape } from '../site.ts';

/** FP4 and NF4. @see https://arxiv.org/abs/2305.14314, appendix E, and bitsandbytes */
const tables: readonly (readonly number[])[] = [
  [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4, -0, -1 / 192, -2 / 3, -1, -1 / 3, -1 / 2, -1 / 6, -1 / 4],
  [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
  ],
]; // prettier-ignore

/** The values of the 16 codes of a `quant_type`; undefined for an unknown one. */
export function bnb4Numbers(quantType: number): readonly number[] | undefined {
  return tables[quantType];
}

/** `A · Wᵀ` with W `[N, K]`. Not: `transB` 0, for backward passes; sizes that are no multiple of the block size. */
export const matMulBnb4: Rule = (site) => blockwiseProduct(site, bnb4Weight(site));

/** The weight as float32 `[N, K]`; undefined for uncovered forms. */
function bnb4Weight(site: ExpansionSite): Value | undefined {
  const [a, packed, largest] = site.inputs;
  const [K, N, size] = [site.int('K', 0), site.int('N', 0), site.of('block_size')];
  const values = bnb4Numbers(site.of('quant_type'));
  if (!a || !packed || !largest || !values || K < 1 || N < 1 || size < 1 || (K * N) % size !== 0) return undefined;
  if (site.of('transB') !== 1) return undefined;
  const { g } = site;
  const byte = (value: number): Value => g.scalar(value, 'uint8');
  const pairs = Float32Array.from({ length: 512 }, (_, i) => values[i % 2 === 0 ? i >> 5 : (i >> 1) & 15]!);
  const table = g.constant({ type: 'float32', dims: [256, 2], data: pairs });
  // Multiplying by 1 from an operator that ONNX Runtime does not fold keeps it from storing the weight as floats.
  const one = g.emit('DequantizeLinear', [byte(1), g.scalar(1), byte(0)]);
  const numbers = g.Reshape(g.Gather(g.Mul(table, one), site.cast(packed, 'int32'), 0), [-1, size]);
  return g.Reshape(g.Mul(numbers, g.Reshape(site.cast(largest, 'float32'), [-1, 1])), [N, K]);
}

/** Unpacks bytes along the last axis, low bits first, by a table: shifts and masks read and write each number thrice. */
function unpacked(site: ExpansionSite, packed: Value, bits: number, leading: readonly number[]): Value {
  const { g } = site;
  const perByte = 8 / bits;
  if (perByte === 1) return g.Reshape(packed, [...leading, -1]);
  const numbers = Uint8Array.from({ length: 256 * perByte }, (_, i) => {
    const byte = Math.floor(i / perByte);
    return (byte >> (bits * (i % perByte))) & (2 ** bits - 1);
  });
  const table = g.constant({ type: 'uint8', dims: [256, perByte], data: numbers });
  return g.Reshape(g.Gather(table, site.cast(packed, 'int32'), 0), [...leading, -1]);
}

/** The low halves of bytes `[rows, n]`, then the high ones: `[rows, 2n]`. */
function halves({ g }: ExpansionSite, bytes: Value): Value {
  const shifted = (value: Value, direction: string): Value =>
    g.emit('BitShift', [value, g.scalar(4, 'uint8')], { direction });
  return g.Concat([shifted(shifted(bytes, 'LEFT'), 'RIGHT'), shifted(bytes, 'RIGHT')], 1);
}

/**
 * `A · dequantized(B)ᵀ + bias` with B `[N, blocks, block_size·bits/8]`; zero points packed, floats, or absent (the
 * middle of the range). Not: `g_idx`, prepacked weights.
 */
export const matMulNBits: Rule = (site) => blockwiseProduct(site, nBitsWeight(site));

function blockwiseProduct(site: ExpansionSite, rows: Value | undefined): Value | undefined {
  const [a, , scales, , , bias] = site.inputs;
  return a && rows && product(site, a, site.g.Transpose(site.cast(rows, scales?.type ?? 'float32'), [1, 0]), bias);
}

/**
 * The weight as float32 `[N, K]`; undefined for uncovered forms. It ends in a DequantizeLinear, which ONNX Runtime does
 * not fold, so that it keeps a byte per element.
 * @param inHalves of 4 bits: each block has its even elements before its odd ones, and padding stays
 */
export function nBitsWeight(site: ExpansionSite, inHalves = false): Value | undefined {
  const [a, packed, scales, zeroPoints, order] = site.inputs;
  const [K, N, bits, size] = [site.int('K', 0), site.int('N', 0), site.of('bits'), site.of('block_size')];
  if (!a || !packed || !scales || order || packed.type !== 'uint8' || site.int('weight_prepacked', 0) !== 0)
    return undefined;
  if (![2, 4, 8].includes(bits) || K < 1 || N < 1 || size < 1) return undefined;
  const { g } = site;
  const blocks = Math.ceil(K / size);
  const dims = [N * blocks, size];
  const rows = g.Reshape(packed, [N * blocks, (size * bits) / 8]);
  const codes = inHalves ? halves(site, rows) : g.Reshape(unpacked(site, rows, bits, [N * blocks]), dims);
  const scale = site.cast(g.Reshape(scales, [N * blocks]), 'float32');
  const zero = zeroPoint(site, zeroPoints, { N, blocks, bits });
  // com.microsoft has the axis at every opset.
  const floats = g.emit('DequantizeLinear', [codes, scale, zero], { axis: 0 }, site.opset < 13 ? 'com.microsoft' : '');
  // Float zero points may be fractional.
  const shift =
    zeroPoints && !zero
      ? g.Reshape(g.Mul(scale, site.cast(g.Reshape(zeroPoints, [N * blocks]), 'float32')), [N * blocks, 1])
      : undefined;
  const weight = g.Reshape(shift ? g.Sub(floats, shift) : floats, [N, blocks * size]);
  return inHalves || blocks * size === K ? weight : g.Slice(weight, [0], [K], [1]);
}

/** A zero point per block, as bytes; undefined for floats. */
function zeroPoint(
  site: ExpansionSite,
  zeroPoints: Value | undefined,
  { N, blocks, bits }: { N: number; blocks: number; bits: number },
): Value | undefined {
  const { g } = site;
  if (!zeroPoints) return g.Expand(g.scalar(2 ** (bits - 1), 'uint8'), g.ints([N * blocks]));
  if (zeroPoints.type !== 'uint8') return undefined;
  return g.Reshape(unpackedBlocks(site, g.Reshape(zeroPoints, [N, -1]), { bits, leading: [N], blocks }), [N * blocks]);
}

/** A number per block; rows are padded to whole bytes. */
function unpackedBlocks(
  site: ExpansionSite,
  packed: Value,
  { bits, leading, blocks }: { bits: number; leading: readonly number[]; blocks: number },
): Value {
  const numbers = unpacked(site, packed, bits, leading);
  return (blocks * bits) % 8 === 0 ? numbers : site.g.Slice(numbers, [0], [blocks], [leading.length]);
}

/** ONNX's numbers for uint4 and int4. */
const fourBits: ReadonlySet<number | undefined> = new Set([21, 22]);

/**
 * Lookups along axis 0 in a byte table of 2, 4 or 8 `bits`, blocked along the last axis, gathered while packed. Tables
 * of 4-bit types, which DequantizeLinear supports blockwise since opset 21: any axes, dequantized whole.
 */
export const gatherBlockQuantized: Rule = (site) => {
  const [data, indices, scales, zeroPoints] = site.inputs;
  if (data && indices && scales && fourBits.has(site.constant(data)?.dataType) && site.opset >= 21) {
    const blocks = { axis: site.of('quantize_axis'), block_size: site.of('block_size') };
    const table = site.named(site.g.emit('DequantizeLinear', [data, scales, zeroPoints], blocks), 'weight');
    return site.layer(site.g.Gather(table, indices, site.of('gather_axis')));
  }
  const shape = staticShape(data);
  const bits = site.of('bits');
  const size = site.of('block_size');
  if (!data || !indices || !scales || shape?.length !== 2 || data.type !== 'uint8' || ![2, 4, 8].includes(bits))
    return undefined;
  if (site.of('gather_axis') !== 0 || ![1, -1].includes(site.of('quantize_axis'))) return undefined;
  const { g } = site;
  const width = (shape[1]! * 8) / bits;
  const blocks = Math.ceil(width / size);
  const rank = indices.shape?.length;
  if (rank === undefined) return undefined;
  const leading = Array.from({ length: rank }, () => 0);

  const rows = site.layer(g.Gather(data, indices, 0));
  const numbers = site.cast(unpacked(site, rows, bits, leading), scales.type ?? 'float32');
  const spread = (perBlock: Value): Value => spreadBlocks(site, perBlock, { leading, blocks, size, width });
  const scale = spread(g.Gather(scales, indices, 0));
  const zero = zeroPoints && unpackedBlocks(site, g.Gather(zeroPoints, indices, 0), { bits, leading, blocks });
  const middle = zero ? spread(site.cast(zero, site.floatType!)) : site.scalar(2 ** (bits - 1));
  return g.Mul(g.Sub(numbers, middle), scale);
};

/** Repeats block values for each element: `[…, blocks]` becomes `[…, width]`. */
function spreadBlocks(
  { g }: ExpansionSite,
  perBlock: Value,
  { leading, blocks, size, width }: { leading: readonly number[]; blocks: number; size: number; width: number },
): Value {
  const column = g.Unsqueeze(perBlock, [-1]);
  const repeated = g.Expand(column, [...leading.map(() => 1), blocks, size]);
  const flat = g.Reshape(repeated, [...leading, blocks * size]);
  return blocks * size === width ? flat : g.Slice(flat, [0], [width], [leading.length]);
}
