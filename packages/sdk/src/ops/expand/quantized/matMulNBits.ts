/** @file MatMulNBits: a product with a blockwise weight of 2, 4 or 8 bits. */

import type { Value } from '../../../graph/builder.ts';
import type { ExpansionSite, Rule } from '../site.ts';

/** Unpacks bytes along the last axis, low bits first, by shifts (standard since opset 11; masks since 18). */
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
 * `A · dequantized(B)ᵀ + bias` with B `[N, blocks, block_size·bits/8]`; zero points packed, floats, or absent (the
 * middle of the range). Not: `g_idx`, prepacked weights.
 */
export const matMulNBits: Rule = (site) => {
  const [a, , scales, , , bias] = site.inputs;
  const rows = nBitsWeight(site);
  if (!a || !rows) return undefined;
  const { g } = site;
  const weight = g.Transpose(site.cast(rows, scales?.type ?? 'float32'), [1, 0]);
  const product = site.layer(g.MatMul(a, site.named(weight, 'weight')));
  return bias ? g.Add(product, bias) : product;
};

/**
 * The weight as float32 `[N, K]`; undefined for uncovered forms. It ends in a DequantizeLinear, which ONNX Runtime does
 * not fold, so that it keeps a byte per element. `shape` computes the shape of these bytes, and so defers dequantizing.
 */
export function nBitsWeight(site: ExpansionSite, shape?: (dims: readonly number[]) => Value): Value | undefined {
  const [a, packed, scales, zeroPoints, order] = site.inputs;
  const [K, N, bits, size] = [site.int('K', 0), site.int('N', 0), site.of('bits'), site.of('block_size')];
  if (!a || !packed || !scales || order || packed.type !== 'uint8' || site.int('weight_prepacked', 0) !== 0)
    return undefined;
  if (![2, 4, 8].includes(bits) || K < 1 || N < 1 || size < 1) return undefined;
  const { g } = site;
  const blocks = Math.ceil(K / size);
  const dims = [N * blocks, size];
  const inBytes = [N * blocks, (size * bits) / 8];
  const bytes = unpacked(site, g.Reshape(packed, shape?.(inBytes) ?? inBytes), bits, [N * blocks]);
  const codes = g.Reshape(bytes, dims);
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
  return blocks * size === K ? weight : g.Slice(weight, [0], [K], [1]);
}

/** A zero point per block, as bytes; undefined for floats. */
function zeroPoint(
  site: ExpansionSite,
  zeroPoints: Value | undefined,
  { N, blocks, bits }: { N: number; blocks: number; bits: number },
): Value | undefined {
  const { g } = site;
  if (!zeroPoints) {
    const middle = g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(2 ** (bits - 1)) });
    return g.Expand(middle, g.ints([N * blocks]));
  }
  if (zeroPoints.type !== 'uint8') return undefined;
  const numbers = unpacked(site, g.Reshape(zeroPoints, [N, -1]), bits, [N]);
  const isPadded = (blocks * bits) % 8 !== 0;
  return g.Reshape(isPadded ? g.Slice(numbers, [0], [blocks], [1]) : numbers, [N * blocks]);
}
