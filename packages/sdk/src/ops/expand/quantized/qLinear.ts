/** @file Quantized operators, as dequantized operands, a float operator, and rounding. */

import type { Value } from '../../../graph/builder.ts';
import type { Attributes } from '../../../graph/attributes.ts';
import { channelsFirst, convAttributes } from '../conv.ts';
import { count, dequantized, quantized, scaleProduct } from './quantization.ts';
import { type ExpansionSite, rankOf, type Rule } from '../site.ts';

/** Dequantizes an operand; its inputs are the integers, the scale and the zero point. */
function operand(site: ExpansionSite, at: number, axis = -1): Value | undefined {
  const [x, scale, zeroPoint] = site.inputs.slice(at, at + 3);
  return x && scale && dequantized(site, x, scale, zeroPoint, axis);
}

/** Quantizes the result by the scale and zero point at inputs `at` and `at + 1`, to the type of input `typed`. */
function rounded(site: ExpansionSite, y: Value | undefined, at: number, typed = 0): Value | undefined {
  return quantized(
    site,
    y,
    site.inputs[at],
    site.inputs[at + 1],
    site.inputs[at + 1]?.type ?? site.inputs[typed]?.type,
  );
}

/** QLinearMatMul; B has a scale and zero point in all or per column. */
export const qLinearMatMul: Rule = (site) => {
  const [a, b] = [operand(site, 0), operand(site, 3)];
  if (!a || !b || count(site.inputs[1]!) !== 1) return undefined;
  return rounded(site, site.layer(site.g.MatMul(a, site.named(b, 'weight'))), 6);
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
  const product = g.Gemm(a, site.named(b, 'weight'), shift, {
    transA: site.of('transA') === 1,
    transB: site.of('transB') === 1,
    ...(alpha === 1 ? {} : { alpha }),
  });
  const y = site.layer(product);
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
  return (
    x &&
    rounded(
      site,
      withChannels(site, x, (first) => site.g.emit('AveragePool', [first], attributes)),
      3,
    )
  );
};

/** QLinearGlobalAveragePool, also with `channels_last`. */
export const qLinearGlobalAveragePool: Rule = (site) => {
  const x = operand(site, 0);
  return (
    x &&
    rounded(
      site,
      withChannels(site, x, (first) => site.g.emit('GlobalAveragePool', [first])),
      3,
    )
  );
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
