/** @file Quantized operators, as dequantized operands, a float operator, and rounding. */

import type { Value } from '../../../graph/builder.ts';
import type { Attributes } from '../../../graph/attributes.ts';
import { channelsFirst, convAttributes } from '../products.ts';
import { type ExpansionSite, rankOf, type Rule, staticDim } from '../site.ts';
import { projections, selfAttention } from '../attention/attention.ts';
import { dataTypeNumber } from '../../../graph/dataType.ts';
import { readFloats } from '../../../graph/tensorData.ts';
import { float32 } from '../../../runtime/tensor.ts';
import { fromFront } from '../../schema.ts';

/** Dequantizes an operand; its inputs are the integers, the scale and the zero point. */
function operand(site: ExpansionSite, at: number, axis = -1): Value | undefined {
  const [x, scale, zeroPoint] = site.inputs.slice(at, at + 3);
  return x && scale && dequantized(site, x, scale, zeroPoint, axis);
}

/** Quantizes the result by the scale and zero point at inputs `at` and `at + 1`, to the type of input `typed`. */
function rounded(site: ExpansionSite, y: Value | undefined, at: number, typed = 0): Value | undefined {
  const { g, inputs } = site;
  const [scale, zeroPoint] = inputs.slice(at, at + 2);
  if (!y || !scale || count(scale) !== 1) return undefined;
  const type = zeroPoint?.type ?? inputs[typed]?.type;
  const zero =
    type === 'int8' ? g.constant({ type, dims: scale.shape as number[], data: new Int8Array(1) }) : undefined;
  return g.emit('QuantizeLinear', [y, scale, zeroPoint ?? zero]);
}

/** QLinearMatMul; B has a scale and zero point in all or per column. */
export const qLinearMatMul: Rule = (site) => {
  const [a, b] = [operand(site, 0), operand(site, 3)];
  if (!a || !b || count(site.inputs[1]!) !== 1) return undefined;
  return rounded(site, product(site, a, b), 6);
};

/** QLinearConv, also with `channels_last`; W has a scale and zero point in all or per output. */
export const qLinearConv: Rule = (site) => {
  const [, xScale, , , wScale, , , , bias] = site.inputs;
  if (!xScale || !wScale || count(xScale) !== 1) return undefined;
  const [image, weight] = [operand(site, 0), operand(site, 3, 0)];
  const shift = bias && dequantized(site, bias, scaleProduct(site, xScale, wScale), undefined);
  if (!image || !weight || (bias && !shift)) return undefined;
  const y = withChannels(site, image, (first) =>
    site.layer(site.g.emit('Conv', [first, site.named(weight, 'weight'), shift], convAttributes(site))),
  );
  return rounded(site, y, 6);
};

/** QGemm: `alpha · op(A) · op(B) + C`; float without a scale of the result. */
export const qGemm: Rule = (site) => {
  const [a, b] = [operand(site, 0), operand(site, 3, site.of('transB') === 1 ? 0 : 1)];
  const [aScale, bScale, c] = [site.inputs[1], site.inputs[4], site.inputs[6]];
  const alpha = site.of('alpha');
  if (!a || !b || !aScale || !bScale || count(aScale) !== 1) return undefined;
  const { g } = site;
  const shift = c && dequantized(site, c, scaleProduct(site, aScale, bScale, alpha), undefined);
  if (c && !shift) return undefined;
  const options = { transA: site.of('transA') === 1, transB: site.of('transB') === 1 };
  const scaled = alpha === 1 ? options : { ...options, alpha };
  const y = site.layer(g.Gemm(a, site.named(b, 'weight'), shift, scaled));
  return site.inputs[7] ? rounded(site, y, 7) : y;
};

/** A quantized binary operator. */
export const qLinearBinary =
  (op: 'Add' | 'Mul'): Rule =>
  (site) => {
    const [a, b] = [operand(site, 0), operand(site, 3)];
    return a && b && rounded(site, site.g[op](a, b), 6);
  };

/** A quantized unary operator. */
export const qLinearUnary =
  (op: string, attributes: (site: ExpansionSite) => Attributes = () => ({})): Rule =>
  (site) => {
    const x = operand(site, 0);
    return x && rounded(site, site.g.emit(op, [x], attributes(site)), 3);
  };

/** QLinearSoftmax: over one axis since `opset` 13, before over all axes from `axis` on. */
export const qLinearSoftmax: Rule = (site) => {
  const x = operand(site, 0);
  const isOld = site.int('opset', 13) < 13;
  const axis = site.int('axis', isOld ? 1 : -1);
  const rank = rankOf(x);
  if (!x || rank === undefined) return undefined;
  const isLast = axis === -1 || axis === rank - 1;
  return isOld && !isLast ? undefined : rounded(site, site.g.Softmax(x, axis), 3);
};

/** QLinearAveragePool, also with `channels_last`. */
export const qLinearAveragePool: Rule = (site) => {
  const x = operand(site, 0);
  const { dilations: _, group: __, ...window } = convAttributes(site);
  const attributes = {
    ...window,
    ceil_mode: site.int('ceil_mode', undefined),
    count_include_pad: site.int('count_include_pad', undefined),
  };
  return x && pooled(site, x, 'AveragePool', attributes);
};

function pooled(site: ExpansionSite, x: Value, op: string, attributes: Attributes): Value | undefined {
  const y = withChannels(site, x, (first) => site.g.emit(op, [first], attributes));
  return rounded(site, y, 3);
}

/** QLinearGlobalAveragePool, also with `channels_last`. */
export const qLinearGlobalAveragePool: Rule = (site) => {
  const x = operand(site, 0);
  return x && pooled(site, x, 'GlobalAveragePool', {});
};

/** QLinearConcat: scale and zero point of the result, then three inputs per operand. */
export const qLinearConcat: Rule = (site) => {
  const count = (site.inputs.length - 2) / 3;
  const operands = Array.from({ length: Math.floor(count) }, (_, i) => operand(site, 2 + 3 * i));
  if (!Number.isInteger(count) || !operands.every((each) => each !== undefined)) return undefined;
  return rounded(site, site.g.Concat(operands, site.int('axis', 0)), 0, 2);
};

/** QLinearWhere: the condition, then two operands. */
export const qLinearWhere: Rule = (site) => {
  const [condition] = site.inputs;
  const [yes, no] = [operand(site, 1), operand(site, 4)];
  return condition && yes && no && rounded(site, site.g.Where(condition, yes, no), 7, 1);
};

/** QuantizeLinear and DequantizeLinear of com.microsoft: one scale, or with `axis` one per element of it. */
export const linearQuantization =
  (op: 'QuantizeLinear' | 'DequantizeLinear'): Rule =>
  (site) => {
    const [x, scale] = site.inputs;
    const wide = [x, site.inputs[2]].some((each) => each?.type === 'int16' || each?.type === 'uint16');
    // 16 bits are standard since opset 21, axes since 13.
    if (!x || !scale || (wide && site.opset < 21) || (site.has('axis') && site.opset < 13)) return undefined;
    return site.g.emit(op, site.inputs, { axis: site.int('axis', undefined) });
  };

/** Applies `compute` to x, with `channels_last` transposed. */
function withChannels(site: ExpansionSite, x: Value, compute: (x: Value) => Value): Value | undefined {
  return site.of('channels_last') === 1 ? channelsFirst(site, x, compute) : compute(x);
}

/** `quantized(A) · dequantized(B) + bias`, A rounded by its range, B `[K, N]` per tensor or per column. */
export const dynamicQuantizeMatMul: Rule = (site) => {
  const [a, b, scale, zeroPoint, bias] = site.inputs;
  if (!a || !b || !scale) return undefined;
  const { g } = site;
  const [rounded, aScale, aZeroPoint] = g.emitMany('DynamicQuantizeLinear', [a], 3);
  const weight = dequantized(site, b, scale, zeroPoint);
  return weight && product(site, g.emit('DequantizeLinear', [rounded, aScale, aZeroPoint]), weight, bias);
};

/** `x · weight + bias`, the weight named `<prefix>weight`. */
export function product(site: ExpansionSite, x: Value, weight: Value, bias?: Value): Value {
  const y = site.layer(site.g.MatMul(x, site.named(weight, 'weight')));
  return bias ? site.g.Add(y, bias) : y;
}

/** `dequantized(A) · dequantized(B) + bias`: A with one scale and zero point, B as above. */
export const matMulIntegerToFloat: Rule = (site) => {
  const [a, b, aScale, bScale, aZeroPoint, bZeroPoint, bias] = site.inputs;
  if (!a || !b || !aScale || !bScale) return undefined;
  const left = dequantized(site, a, aScale, aZeroPoint);
  const right = dequantized(site, b, bScale, bZeroPoint);
  return left && right && count(aScale) === 1 ? product(site, left, right, bias) : undefined;
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

/** Dequantizes x by one scale and zero point, or one per element of `axis` (default last). Undefined if unknown. */
function dequantized(
  { g, opset }: ExpansionSite,
  x: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  axis = -1,
): Value | undefined {
  const [rank, scales] = [rankOf(x), count(scale)];
  if (scales === 1) return g.emit('DequantizeLinear', [x, scale, zeroPoint]);
  if (rank === undefined || scales === undefined) return undefined;
  // ONNX Runtime's operator has an axis at every opset.
  const own = { axis: fromFront(axis, rank) };
  return g.emit('DequantizeLinear', [x, scale, zeroPoint], own, opset < 13 ? 'com.microsoft' : '');
}

/** Scale of an int32 bias: product of a scale, one or several scales, and a factor. Constant if both are. */
function scaleProduct(site: ExpansionSite, one: Value, scales: Value, factor = 1): Value {
  const { g } = site;
  const [left, right] = [site.constant(one), site.constant(scales)];
  if (left?.dataType === FLOAT32 && right?.dataType === FLOAT32) {
    const [by] = readFloats(left);
    const values = readFloats(right).map((scale) => Math.fround(by! * scale) * factor);
    return g.constant(float32(values, right.dims ?? []));
  }
  const product = g.Mul(one, scales);
  return factor === 1 ? product : g.Mul(product, site.scalar(factor));
}

const FLOAT32 = dataTypeNumber('float32');

/** Number of elements of a scalar or list; undefined if unknown. */
function count(value: Value): number | undefined {
  return rankOf(value) === 0 ? 1 : rankOf(value) === 1 ? staticDim(value, 0) : undefined;
}
