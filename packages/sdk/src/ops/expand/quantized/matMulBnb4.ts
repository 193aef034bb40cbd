/** @file MatMulBnb4: a product with a weight in bitsandbytes' 4-bit floats. */

import type { Value } from '../../../graph/builder.ts';
import type { ExpansionSite, Rule } from '../site.ts';

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
export const matMulBnb4: Rule = (site) => {
  const [a, , largest] = site.inputs;
  const rows = bnb4Weight(site);
  if (!a || !rows) return undefined;
  const { g } = site;
  const weight = g.Transpose(site.cast(rows, largest?.type ?? 'float32'), [1, 0]);
  return site.layer(g.MatMul(a, site.named(weight, 'weight')));
};

/**
 * The weight as float32 `[N, K]`; undefined for uncovered forms. `shape` computes the shape of the codes, one per byte,
 * and so defers dequantizing.
 */
export function bnb4Weight(site: ExpansionSite, shape?: (dims: readonly number[]) => Value): Value | undefined {
  const [a, packed, largest] = site.inputs;
  const [K, N, size] = [site.int('K', 0), site.int('N', 0), site.of('block_size')];
  const values = bnb4Numbers(site.of('quant_type'));
  if (!a || !packed || !largest || !values || K < 1 || N < 1 || size < 1 || (K * N) % size !== 0) return undefined;
  if (site.of('transB') !== 1) return undefined;
  const { g } = site;
  const byte = (value: number): Value => g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(value) });
  const shifted = (x: Value, direction: string): Value => g.emit('BitShift', [x, byte(4)], { direction });
  const inBytes = [(N * K) / 2];
  const bytes = g.Reshape(packed, shape?.(inBytes) ?? inBytes);
  const halves = [shifted(bytes, 'RIGHT'), shifted(shifted(bytes, 'LEFT'), 'RIGHT')];
  const codes = g.Concat(
    halves.map((half) => g.Reshape(half, [-1, 1])),
    1,
  );
  const table = g.constant({ type: 'float32', dims: [16], data: Float32Array.from(values) });
  // Multiplying by 1 from an operator that ONNX Runtime does not fold keeps it from storing the weight as floats.
  const one = g.emit('DequantizeLinear', [byte(1), g.scalar(1), byte(0)]);
  const numbers = g.Gather(g.Mul(table, one), site.cast(g.Reshape(codes, [-1, size]), 'int32'), 0);
  return g.Reshape(g.Mul(numbers, g.Reshape(site.cast(largest, 'float32'), [-1, 1])), [N, K]);
}
