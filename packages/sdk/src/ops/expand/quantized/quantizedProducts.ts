/** @file Products with 8-bit operands: DynamicQuantizeMatMul, MatMulIntegerToFloat and QAttention. */

import { projections, selfAttention } from '../attention/attention.ts';
import { count, dequantized } from './quantization.ts';
import type { Rule } from '../site.ts';

/** `quantized(A) · dequantized(B) + bias`, A rounded by its range, B `[K, N]` per tensor or per column. */
export const dynamicQuantizeMatMul: Rule = (site) => {
  const [a, b, scale, zeroPoint, bias] = site.inputs;
  if (!a || !b || !scale) return undefined;
  const { g } = site;
  const [rounded, aScale, aZeroPoint] = g.emitMany('DynamicQuantizeLinear', [a], 3);
  const weight = dequantized(site, b, scale, zeroPoint);
  if (!weight) return undefined;
  const product = site.layer(
    g.MatMul(g.emit('DequantizeLinear', [rounded, aScale, aZeroPoint]), site.named(weight, 'weight')),
  );
  return bias ? g.Add(product, bias) : product;
};

/** `dequantized(A) · dequantized(B) + bias`: A with one scale and zero point, B as above. */
export const matMulIntegerToFloat: Rule = (site) => {
  const [a, b, aScale, bScale, aZeroPoint, bZeroPoint, bias] = site.inputs;
  if (!a || !b || !aScale || !bScale) return undefined;
  const { g } = site;
  const left = dequantized(site, a, aScale, aZeroPoint);
  const right = dequantized(site, b, bScale, bZeroPoint);
  if (!left || !right || count(aScale) !== 1) return undefined;
  const product = site.layer(g.MatMul(left, site.named(right, 'weight')));
  return bias ? g.Add(product, bias) : product;
};

/** Attention with 8-bit input and weight `[in, 3·hidden]`; `…/q.weight` is a Slice of the dequantized weight. */
export const qAttention: Rule = (site) => {
  const [x, weight, bias, xScale, scale, mask, xZeroPoint, zeroPoint, past] = site.inputs;
  if (!x || !weight || !bias || !xScale || !scale) return undefined;
  const input = dequantized(site, x, xScale, xZeroPoint);
  const packed = dequantized(site, weight, scale, zeroPoint);
  const projected = input && packed && projections(site, input, packed, bias);
  return projected && selfAttention(site, { ...projected, mask, past, attentionBias: undefined });
};
