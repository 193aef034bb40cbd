/** @file Quantizes and dequantizes values by scale and zero point. */

import type { Value } from '../../../graph/builder.ts';
import { dataTypeNumber } from '../../../graph/dataType.ts';
import { readFloats } from '../../../graph/tensorData.ts';
import { type DataType, float32 } from '../../../runtime/tensor.ts';
import { type ExpansionSite, rankOf, staticDim } from '../site.ts';
import { fromFront } from '../../schema.ts';

/** Dequantizes x by one scale and zero point, or one per element of `axis` (default last). Undefined if unknown. */
export function dequantized(
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

/** Quantizes to `type` by one scale and zero point. Undefined for several. */
export function quantized(
  { g }: ExpansionSite,
  y: Value | undefined,
  scale: Value | undefined,
  zeroPoint: Value | undefined,
  type: DataType | undefined,
): Value | undefined {
  if (!y || !scale || count(scale) !== 1) return undefined;
  const zero =
    type === 'int8' ? g.constant({ type, dims: scale.shape as number[], data: new Int8Array(1) }) : undefined;
  return g.emit('QuantizeLinear', [y, scale, zeroPoint ?? zero]);
}

/** Scale of an int32 bias: product of a scale, one or several scales, and a factor. Constant if both are. */
export function scaleProduct(site: ExpansionSite, one: Value, scales: Value, factor = 1): Value {
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
export function count(value: Value): number | undefined {
  return rankOf(value) === 0 ? 1 : rankOf(value) === 1 ? staticDim(value, 0) : undefined;
}
