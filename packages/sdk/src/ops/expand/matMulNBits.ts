/** @file MatMulNBits: a product with a weight packed into 2, 4 or 8 bits by blocks. */

import type { Value } from '../../graph/builder.ts';
import type { ExpansionSite, Rule } from './site.ts';

/**
 * The numbers packed into bytes along the last axis, lowest bits first, as floats: `[…, bytes]` becomes
 * `[…, bytes·8/bits]`. Shifts of bytes are standard since opset 11, masks only since 18.
 */
export function unpacked({ g }: ExpansionSite, packed: Value, bits: number, leading: readonly number[]): Value {
  const perByte = 8 / bits;
  const byte = (value: number): Value => g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(value) });
  const numbers = Array.from({ length: perByte }, (_, i) => {
    const above = 8 - bits * (i + 1);
    const cut = above === 0 ? packed : g.emit('BitShift', [packed, byte(above)], { direction: 'LEFT' });
    const number = bits === 8 ? cut : g.emit('BitShift', [cut, byte(8 - bits)], { direction: 'RIGHT' });
    return g.Unsqueeze(number, [-1]);
  });
  return g.Reshape(perByte === 1 ? numbers[0]! : g.Concat(numbers, -1), [...leading, -1]);
}

/**
 * `A · dequantised(B)ᵀ + bias` with B `[N, blocks, block_size·bits/8]` of 2, 4 or 8 bits, scales by block, zero points
 * packed as bytes, as floats, or absent (the middle of the range), bias optional. Not: `g_idx`, weights that are packed
 * for one machine, other widths.
 *
 * The weight is dequantised by the graph to `<prefix>weight` `[K, N]`.
 */
export const matMulNBits: Rule = (site) => {
  const [a, packed, scales, zeroPoints, order, bias] = site.inputs;
  const [K, N, bits, size] = [site.int('K', 0), site.int('N', 0), site.int('bits', 4), site.int('block_size', 0)];
  if (!a || !packed || !scales || order || packed.type !== 'uint8' || site.int('weight_prepacked', 0) !== 0)
    return undefined;
  if (![2, 4, 8].includes(bits) || K < 1 || N < 1 || size < 1) return undefined;
  const { g } = site;
  const blocks = Math.ceil(K / size);
  const type = scales.type ?? 'float32';

  const numbers = site.cast(unpacked(site, g.Reshape(packed, [N, blocks, -1]), bits, [N, blocks]), type);
  const centred = g.Sub(numbers, zeroPoint(site, zeroPoints, { N, blocks, bits, type }));
  const weight = g.Reshape(g.Mul(centred, g.Reshape(scales, [N, blocks, 1])), [N, blocks * size]);
  const cut = blocks * size === K ? weight : g.Slice(weight, [0], [K], [1]);
  const product = site.layer(g.MatMul(a, site.named(g.Transpose(cut, [1, 0]), 'weight')));
  return bias ? g.Add(product, bias) : product;
};

function zeroPoint(
  site: ExpansionSite,
  zeroPoints: Value | undefined,
  { N, blocks, bits, type }: { N: number; blocks: number; bits: number; type: NonNullable<Value['type']> },
): Value {
  const { g } = site;
  if (!zeroPoints) return site.scalar(2 ** (bits - 1));
  if (zeroPoints.type !== 'uint8') return g.Reshape(zeroPoints, [N, blocks, 1]);
  // Each row of blocks is padded to whole bytes.
  const numbers = unpacked(site, g.Reshape(zeroPoints, [N, -1]), bits, [N]);
  const isPadded = (blocks * bits) % 8 !== 0;
  const row = isPadded ? g.Slice(numbers, [0], [blocks], [1]) : numbers;
  return site.cast(g.Reshape(row, [N, blocks, 1]), type);
}
