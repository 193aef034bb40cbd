/** @file Shape inference of quantized operators. */

import { dataTypeName } from '../../graph/dataType.ts';
import type { ValueType } from '../../graph/value.ts';
import { attribute, intAttribute } from '../../graph/walk.ts';
import { broadcast, multiply } from '../dim.ts';
import { concat } from './movement.ts';
import { gemm, product } from './products.ts';
import { type InferenceSite, input, type Rule } from './site.ts';
import { channelsLast, conv, globalPool, pool } from './windows.ts';
import { attributeOf, fromFront } from '../schema.ts';

/** The element type of the zero point at input `at`, else of input `otherwise`. */
const rounded =
  (at: number, otherwise = 0) =>
  (site: InferenceSite): ValueType['type'] =>
    site.inputs[at] ? input(site, at).type : input(site, otherwise).type;

const quantizeLinear: Rule = (site) => {
  // Types without a JavaScript array, such as int4, are named by an attribute.
  const chosen = attribute(site.node, 'output_dtype');
  const type = site.inputs[2] ? input(site, 2).type : chosen ? dataTypeName(Number(chosen.i)) : 'uint8';
  return [{ type, shape: input(site).shape }];
};

const dequantizeLinear: Rule = (site) => {
  const chosen = attributeOf(site.node, 'output_dtype');
  return [{ type: chosen === 0 ? input(site, 1).type : dataTypeName(chosen), shape: input(site).shape }];
};

const dynamicQuantizeLinear: Rule = (site) => [
  { type: 'uint8', shape: input(site).shape },
  { type: 'float32', shape: [] },
  { type: 'uint8', shape: [] },
];

/** Lookups in a table whose packed axis holds `count` elements per byte. */
const gatherBlockQuantized: Rule = (site) => {
  const [{ type: packed, shape }, indices, { type }] = [input(site), input(site, 1).shape, input(site, 2)];
  if (!shape || !indices) return [{ type }];
  const axis = (name: string, fallback: number): number =>
    fromFront(intAttribute(site.node, name, fallback), shape.length);
  const [gathered, quantized] = [axis('gather_axis', 0), axis('quantize_axis', 1)];
  const count = packed === 'uint8' ? 8 / attributeOf(site.node, 'bits') : 1;
  const table = shape.map((dim, i) => (i === quantized ? multiply(dim, count) : dim));
  return [{ type, shape: [...table.slice(0, gathered), ...indices, ...table.slice(gathered + 1)] }];
};

/** The float operator's rule, with the element type of the zero point at `at`. */
const like =
  (at: number, rule: Rule): Rule =>
  (site) => [{ type: rounded(at)(site), shape: rule(site)[0]?.shape }];

const same: Rule = (site) => [{ shape: input(site).shape }];

/** Broadcasts the inputs at these positions. */
const together =
  (...at: readonly number[]): Rule =>
  (site) => {
    const [first, ...others] = at.map((i) => input(site, i).shape);
    return [{ shape: others.reduce((a, b) => a && b && broadcast(a, b), first) }];
  };

/** The rule, for channels last if `channels_last`. */
const byLayout =
  (rule: Rule): Rule =>
  (site) =>
    (attributeOf(site.node, 'channels_last') === 1 ? channelsLast(rule) : rule)(site);

/** Scale and zero point of the result, then three inputs per operand. */
const qLinearConcat: Rule = (site) => {
  const inputs = site.inputs.filter((_, i) => i % 3 === 2);
  return [{ type: input(site, 1).type, shape: concat({ ...site, inputs })[0]?.shape }];
};

export const quantizedRules: Readonly<Record<string, Rule>> = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  GatherBlockQuantized: gatherBlockQuantized,
  QLinearMatMul: product(rounded(7), 3),
  QLinearConv: byLayout(conv(rounded(7), 3)),
  QGemm: gemm((site) => (site.inputs[7] ? rounded(8)(site) : 'float32'), 3),
  QLinearAdd: like(7, together(0, 3)),
  QLinearMul: like(7, together(0, 3)),
  QLinearWhere: like(8, together(0, 1, 4)),
  QLinearSigmoid: like(4, same),
  QLinearLeakyRelu: like(4, same),
  QLinearSoftmax: like(4, same),
  QLinearAveragePool: like(4, byLayout(pool)),
  QLinearGlobalAveragePool: like(4, byLayout(globalPool)),
  QLinearConcat: qLinearConcat,
};
