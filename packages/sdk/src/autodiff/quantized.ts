/**
 * @file Gradients of quantized operators: those of their float counterparts. Rounding counts as the identity
 * (https://arxiv.org/abs/1308.3432), scales and zero points as constants. Cotangents of integers are float32.
 */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { OnnxLoraError } from '../errors.ts';
import type { NodeProto } from '../graph/proto.ts';
import { intAttribute } from '../graph/walk.ts';
import { CONTRIB } from '../ops/domains.ts';
import { isLargestOfRows } from '../ops/quantization/forms.ts';
import { isInHalves, nBitsRows, type PackedOperands, packedRows, rowRanges, UNPACKED } from '../ops/quantization/packedRows.ts'; // prettier-ignore
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

/** QuantizeLinear: dy/scale where x is within range, 0 where clipped. */
export const quantizeBack: Vjp = (site) => {
  const { g, x, y, dy } = site;
  const scale = perAxis(site, castTo(g, input(site, 1)));
  const dx = isUndone(site) ? dy : g.Div(dy, scale);
  const range = ranges[y[0]!.type ?? 'float32'];
  // Rows divided by their largest magnitude are never clipped.
  const division = site.context.producer(x[0]!.name);
  const [before = '', rows = ''] = division?.opType === 'Div' ? division.input! : [];
  if (!range || isLargestOfRows(rows, before, (name) => site.context.producer(name))) return castTo(g, dx, x[0]!.type);
  const zero = x[2] ? perAxis(site, castTo(g, x[2])) : g.scalar(0);
  // Values that round into the range are inside; the runtime folds constant bounds.
  const [low, high] = [range[0] - 0.5, range[1] + 0.5].map((bound) =>
    castTo(g, g.Mul(g.Sub(g.scalar(bound), zero), scale), x[0]!.type),
  ) as [Value, Value];
  return g.Where(g.And(g.Greater(x[0]!, low), g.Less(x[0]!, high)), castTo(g, dx, x[0]!.type), 0);
};

/** DynamicQuantizeLinear: dy/scale, without clipping, since the range is that of x. */
export const dynamicQuantizeBack: Vjp = (site) => {
  const { g, y, dy } = site;
  return castTo(g, isUndone(site) ? dy : g.Div(dy, y[1]!), input(site, 0).type);
};

/** DequantizeLinear of computed integers: dy·scale. */
export const dequantizeBack: Vjp = (site) => {
  const { g, dy, node, context } = site;
  const producer = context.producer(node.input![0]!);
  if (producer && isQuantizer(producer.opType) && isUndone({ node: producer, context })) return castTo(g, dy);
  return castTo(g, g.Mul(dy, perAxis(site, castTo(g, input(site, 1), dy.type))));
};

/** MatMulInteger: MatMul of the integers minus zero points. */
export const integerProduct: Vjp = (site, index) =>
  index === 0 ? matMulLeft(withNumbers(site, 1, -1), 0) : matMulRight(withNumbers(site, 0, -2), 1);

/** MatMulIntegerToFloat: MatMul of floats, with the other operand dequantized temporarily. */
export const integerToFloat: Vjp = (site, index) => {
  const { g, node, x, context } = site;
  const own = index as 0 | 1;
  const other = 1 - own;
  const [integers, scale, zero] = [other, other + 2, other + 4].map((at) => x[at]);
  const isSingle = sizeOf((scale!.shape ?? []) as number[]) === 1;
  // ONNX Runtime's own operator has an axis at every opset.
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

/** Products with a block-packed weight `[N, K]`: dy·W with the weight unpacked temporarily, some rows at a time. */
export const packedProduct: Vjp = (site) => packedInParts(site, UNPACKED);

/** {@link packedProduct} with at most so many numbers of the weight at a time, but at least a row. */
export function packedInParts(site: VjpSite, most: number): Value {
  const { g, x, dy, node } = site;
  const form = node.opType === 'MatMulBnb4' ? bnb4Part(site) : nBitsPart(site);
  const operands = x.slice(1);
  const rows = asRows(g, castTo(g, dy));
  let sum: Value | undefined;
  const ranges = rowRanges(node, operands, most);
  for (const range of ranges) {
    // One part after the other.
    const own = packedRows(g, { node, operands }, range, sum ?? dy);
    const [from, to] = range;
    sum = form.product(ranges.length === 1 ? rows : g.Slice(rows, [from], [to], [1]), own, to - from, sum);
  }
  return castTo(g, reshapeLike(g, form.columns(sum!), x[0]!), x[0]!.type);
}

/** How some rows of a packed weight are multiplied. */
interface PackedPart {
  /** `rows · part + sum`, with columns in any order. */
  product(rows: Value, operands: PackedOperands, count: number, sum: Value | undefined): Value;
  /** The product as `[rows, K]`. */
  columns(sum: Value): Value;
}

/** Columns that the kernel unpacks side by side. */
const LANES = 4;

/**
 * MatMulBnb4, whose kernel unpacks four times as fast as standard operators: the flat weight `[N · K ÷ 4, 4]` times the
 * identity is every fourth column. Its `transB` 0 computes something else in ONNX Runtime 1.30.
 */
function bnb4Part({ g, node, x }: VjpSite): PackedPart {
  if (attributeOf(node, 'transB') !== 1) throw unknownForm(node);
  const attribute = (name: string): number => intAttribute(node, name, 0);
  const K = attribute('K');
  const lanes = [LANES, 2, 1].find((count) => K % count === 0)!;
  const identity = Float32Array.from({ length: lanes * lanes }, (_, i) => Number(i % (lanes + 1) === 0));
  const form = { block_size: attribute('block_size'), quant_type: attribute('quant_type') };
  return {
    product: (rows, operands, count, sum) => {
      const eye = castTo(g, g.constant(float32(identity, [lanes, lanes])), x[2]?.type);
      const attributes = { ...form, K: lanes, N: (count * K) / lanes };
      const flat = castTo(g, g.emit('MatMulBnb4', [eye, ...operands], attributes, CONTRIB));
      const y = g.MatMul(rows, g.Reshape(flat, [lanes, count, K / lanes]));
      return sum ? g.Add(sum, y) : y;
    },
    columns: (sum) => g.Reshape(g.Transpose(sum, [1, 2, 0]), [-1, K]),
  };
}

function nBitsPart({ g, node }: VjpSite): PackedPart {
  const [K, size] = [intAttribute(node, 'K', 0), intAttribute(node, 'block_size', 0)];
  return {
    product: (rows, operands, count, sum) => {
      const weight = nBitsRows(g, node, operands, count);
      if (!weight) throw unknownForm(node);
      return g.Gemm(rows, weight, sum);
    },
    columns: (sum) => {
      if (!isInHalves(node, g.opset)) return sum;
      const turned = g.Transpose(g.Reshape(sum, [0, -1, 2, size / 2]), [0, 1, 3, 2]);
      const columns = g.Reshape(turned, [0, Math.ceil(K / size) * size]);
      return K % size === 0 ? columns : g.Slice(columns, [0], [K], [1]);
    },
  };
}

function unknownForm({ opType, name }: NodeProto): OnnxLoraError {
  return new OnnxLoraError(
    'NO_GRADIENT',
    `The gradient of ${opType} "${name}" is not known for the form in which its weight is packed. Adapt only layers after it, or quantise the model with blocks of 2, 4 or 8 bits in their own order.`,
  );
}

/** DynamicQuantizeLSTM: LSTM with dequantized weights, `[directions, in, gates · hidden]` per direction or column. */
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

/** Whether all readers dequantize with the same scale. Then both scales cancel. */
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

/** One number, or one per index of the node's axis, reshaped to broadcast. */
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
