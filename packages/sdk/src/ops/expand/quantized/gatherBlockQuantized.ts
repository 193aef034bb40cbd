/** @file GatherBlockQuantized: lookups in a blockwise quantized table. */

import type { Value } from '../../../graph/builder.ts';
import { unpacked } from './matMulNBits.ts';
import { type ExpansionSite, type Rule, staticShape } from '../site.ts';

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
  const zero = zeroPoints ? zeroRows(site, zeroPoints, indices, { bits, leading, blocks }) : undefined;
  const middle = zero ? spread(zero) : site.scalar(2 ** (bits - 1));
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

function zeroRows(
  site: ExpansionSite,
  zeroPoints: Value,
  indices: Value,
  { bits, leading, blocks }: { bits: number; leading: readonly number[]; blocks: number },
): Value {
  const { g } = site;
  const numbers = unpacked(site, g.Gather(zeroPoints, indices, 0), bits, leading);
  const isPadded = (blocks * bits) % 8 !== 0;
  const row = isPadded ? g.Slice(numbers, [0], [blocks], [leading.length]) : numbers;
  return site.cast(row, site.floatType!);
}
