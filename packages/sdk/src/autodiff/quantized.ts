/**
 * @file Gradients of quantised operators: those of the float operators that they stand for. Rounding counts as the
 * identity (https://arxiv.org/abs/1308.3432), scales and zero points as constants. The cotangent of a value of integers is
 * one of float32, by the numbers that the integers are.
 */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { OnnxLoraError } from '../errors.ts';
import { bnb4Weight, nBitsWeight } from '../ops/expand/quantized/blockwise.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { CONTRIB } from '../ops/domains.ts';
import { ExpansionSite } from '../ops/expand/site.ts';
import { isLargestOfRows } from '../ops/quantization/forms.ts';
import { type DataType, float32, sizeOf } from '../runtime/tensor.ts';
import { convInput, convWeight } from './images/conv.ts';
import { matMulLeft, matMulRight } from './products.ts';
import { asRows, castTo, input, oncePerNode, rankOf, reshapeLike, type Vjp, type VjpSite } from './vjp.ts';
import { attributeOf, axisOf, fromFront } from '../ops/schema.ts';

const ranges: Partial<Record<DataType, readonly [lowest: number, highest: number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
};

/** QuantizeLinear: dy/scale where x is within the range of the integers, 0 where it was cut off. */
export const quantizeBack: Vjp = (site) => {
  const { g, x, y, dy } = site;
  const scale = perAxis(site, castTo(g, input(site, 1)));
  const dx = isUndone(site) ? dy : g.Div(dy, scale);
  const range = ranges[y[0]!.type ?? 'float32'];
  // Of rows that are divided by their largest magnitude nothing is cut off.
  const division = site.context.producer(x[0]!.name);
  const [before = '', rows = ''] = division?.opType === 'Div' ? division.input! : [];
  if (!range || isLargestOfRows(rows, before, (name) => site.context.producer(name))) return castTo(g, dx, x[0]!.type);
  const zero = x[2] ? perAxis(site, castTo(g, x[2])) : g.scalar(0);
  // What rounds to an integer of the range is inside; of constants, the runtime computes the bounds once.
  const [low, high] = [range[0] - 0.5, range[1] + 0.5].map((bound) =>
    castTo(g, g.Mul(g.Sub(g.scalar(bound), zero), scale), x[0]!.type),
  ) as [Value, Value];
  return g.Where(g.And(g.Greater(x[0]!, low), g.Less(x[0]!, high)), castTo(g, dx, x[0]!.type), 0);
};

/** DynamicQuantizeLinear: dy/scale; the range is that of x, so nothing is cut off. */
export const dynamicQuantizeBack: Vjp = (site) => {
  const { g, y, dy } = site;
  return castTo(g, isUndone(site) ? dy : g.Div(dy, y[1]!), input(site, 0).type);
};

/** DequantizeLinear of integers that were computed: dy·scale. */
export const dequantizeBack: Vjp = (site) => {
  const { g, dy, node, context } = site;
  const producer = context.producer(node.input![0]!);
  if (producer && isQuantizer(producer.opType) && isUndone({ node: producer, context })) return castTo(g, dy);
  return castTo(g, g.Mul(dy, perAxis(site, castTo(g, input(site, 1), dy.type))));
};

/** MatMulInteger: as MatMul of the numbers without their zero points. */
export const integerProduct: Vjp = (site, index) =>
  index === 0 ? matMulLeft(withNumbers(site, 1, -1), 0) : matMulRight(withNumbers(site, 0, -2), 1);

/** MatMulIntegerToFloat: as MatMul of the floats, the other operand's integers turned to them for the moment. */
export const integerToFloat: Vjp = (site, index) => {
  const { g, node, x, context } = site;
  const own = index as 0 | 1;
  const other = 1 - own;
  const [integers, scale, zero] = [other, other + 2, other + 4].map((at) => x[at]);
  const isSingle = sizeOf((scale!.shape ?? []) as number[]) === 1;
  // ONNX Runtime's own has an axis at every opset.
  const domain = g.opset < 13 ? CONTRIB : '';
  const axis = isSingle ? {} : { axis: rankOf(integers!) - 1 };
  const floats = g.emit('DequantizeLinear', [integers, scale, zero], axis, domain);
  const operands = x.map((each, at) => (at === other ? floats : each));
  const dx = (own === 0 ? matMulLeft : matMulRight)({ ...site, x: operands }, own);
  const producer = context.producer(node.input![own]!);
  if (producer && isQuantizer(producer.opType) && isUndone({ node: producer, context })) return dx;
  return g.Mul(dx, x[own + 2]!);
};

/** ConvInteger, likewise. */
export const integerConv: Vjp = (site, index) =>
  index === 0 ? convInput(withNumbers(site, 1, 0), 0) : convWeight(withNumbers(site, 0, 0), 1);

/** Products with a weight `[N, K]` that is packed by blocks: dy·W, the weight turned to floats for the moment. */
export const packedProduct: Vjp = (site) => {
  const { g, node, x, dy } = site;
  const types = new Map(x.flatMap((value) => (value ? [[value.name, value] as const] : [])));
  const context = { types, constants: new Map(), opset: g.opset, prefix: '' };
  const expansion = new ExpansionSite(node, context, g);
  const shape = behind(g, dy);
  const weight = node.opType === 'MatMulBnb4' ? bnb4Weight(expansion, shape) : nBitsWeight(expansion, shape);
  if (!weight) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of ${node.opType} "${node.name}" is not known for the form in which its weight is packed. Adapt only layers after it, or quantise the model with blocks of 2, 4 or 8 bits in their own order.`,
    );
  }
  return castTo(g, reshapeLike(g, g.Gemm(asRows(g, castTo(g, dy)), weight), x[0]!), x[0]!.type);
};

/**
 * Shapes that are known once a cotangent is. Otherwise ONNX Runtime would turn the weights of all layers to floats ahead, or as
 * soon as it can, and keep them until they are needed.
 */
function behind(g: GraphBuilder, dy: Value): (dims: readonly number[]) => Value {
  const first = g.Slice(g.Reshape(dy, [-1]), [0], [1], [0]);
  // Zero, also where it is no number.
  const zero = g.Cast(g.emit('Less', [first, first]), dataTypeNumber('int64'));
  return (dims) => g.Add(g.ints(dims), zero);
}

/**
 * DynamicQuantizeLSTM: as the operator of floats with the weights that the integers stand for. It has them as
 * `[directions, in, gates · hidden]`, with a scale and a zero point for each direction or each of its columns.
 */
export function quantizedRecurrent(op: 'LSTM', rule: readonly (Vjp | null)[]): (Vjp | null)[] {
  const [W, R, PEEPHOLES] = [1, 2, 7];
  const isInteger = (i: number): boolean => i === W || i === R;
  const inFloats = oncePerNode((site): VjpSite => {
    const { g, x } = site;
    const weight = (which: number): Value => {
      const [scale, zero] = [x[PEEPHOLES + 2 * which - 1]!, x[PEEPHOLES + 2 * which]!].map((each) =>
        g.Unsqueeze(castTo(g, each), rankOf(each) === 1 ? [1, 2] : [1]),
      ) as [Value, Value];
      return g.Transpose(g.Mul(g.Sub(castTo(g, x[which]!), zero), scale), [0, 2, 1]);
    };
    const { domain: _, ...node } = site.node;
    const floats = x.slice(0, PEEPHOLES + 1).map((each, i) => (isInteger(i) ? weight(i) : each));
    return { ...site, node: { ...node, opType: op }, x: floats };
  });
  return rule.map((own, i) => own && !isInteger(i) ? (site, index) => own(inFloats(site), index) : null); // prettier-ignore
}

/** The site with operand `which` as the numbers that its integers stand for, a scale aside. */
function withNumbers(site: VjpSite, which: 0 | 1, axis: number): VjpSite {
  const { g, x } = site;
  const [value, zero] = [input(site, which), x[which + 2]];
  return { ...site, x: x.map((each, i) => (i === which ? numbersOf(g, value, zero, axis) : each)) };
}

function numbersOf(g: GraphBuilder, value: Value, zero: Value | undefined, axis: number): Value {
  const dims = (zero?.shape ?? []) as readonly number[];
  const ones = g.constant(float32(new Float32Array(sizeOf(dims)).fill(1), dims));
  const attributes = sizeOf(dims) === 1 ? {} : { axis: fromFront(axis, rankOf(value)) };
  return g.emit('DequantizeLinear', [value, ones, zero], attributes);
}

/** Whether every reader turns the integers back to floats with the scale that made them. Then both scales cancel. */
function isUndone({ node, context }: Pick<VjpSite, 'node' | 'context'>): boolean {
  const [integers, dynamicScale] = node.output!;
  const scale = node.opType === 'QuantizeLinear' ? node.input![1] : dynamicScale;
  return context.readers(integers!).every(({ opType, input: read = [] }) => {
    if (opType === 'DequantizeLinear') return read[0] === integers && read[1] === scale;
    if (opType !== 'MatMulIntegerToFloat') return false;
    return [0, 1].every((at) => read[at] !== integers || read[at + 2] === scale);
  });
}

function isQuantizer(op: string | undefined): boolean {
  return op === 'QuantizeLinear' || op === 'DynamicQuantizeLinear';
}

/** One number for all, or one for each place of the node's axis, in the form that broadcasts. */
function perAxis({ g, node, x }: VjpSite, value: Value): Value {
  const [rank, own] = [rankOf(x[0]!), rankOf(value)];
  const [count] = value.shape ?? [];
  if (own === 0) return value;
  if (own === 1 && count === 1) return g.Reshape(value, []);
  if (own > 1 || attributeOf(node, 'block_size') !== 0) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of ${node.opType} "${node.name}" is not known for values that are quantised in blocks. Adapt only layers after it.`,
    );
  }
  const after = rank - 1 - axisOf(node, rank);
  return g.Reshape(value, [-1, ...new Array<number>(after).fill(1)]);
}
