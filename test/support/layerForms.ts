/** @file Forms of layers in graphs, each with the effect of a weight's change on its output. */

import type { GraphBuilder, Value } from '../../packages/sdk/src/graph/builder.ts';
import type { Attributes } from '../../packages/sdk/src/graph/attributes.ts';
import type { ModelProto } from '../../packages/sdk/src/graph/proto.ts';
import { codeType } from '../../packages/sdk/src/match/weights/codes.ts';
import { floatTensor } from '../../packages/sdk/src/match/weights/index.ts';
import type { SiteKind } from '../../packages/sdk/src/match/sites.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import { type Feeds, sizeOf, type Tensor, tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { modelOf } from './graphs.ts';
import { codeTypes, randomCodes, randomFloats, WeightBuilder } from './storedWeights.ts';

/** A graph of one layer. */
export interface LayerForm {
  readonly kind: SiteKind;
  /** As torch has it. */
  readonly weightShape: readonly number[];
  readonly input: { readonly type?: 'float32' | 'float64' | 'float16' | 'int32'; readonly shape: readonly number[] };
  /** Emits the layer: nodes named in the scope `/fc`, random weights. */
  readonly build: (g: WeightBuilder, x: Value, weight: WeightMaker) => Value;
  /** Emits the change of the output by a delta of the weight, in torch's layout and of every group's full width. */
  readonly change: (g: GraphBuilder, x: Value, delta: Value) => Value;
  readonly groups?: number;
  readonly hasBias?: boolean;
  /** How the weight is stored; float32 unless told otherwise. */
  readonly storage?: string;
  /** How far outputs may be from each other before storage rounds: of the layer's own arithmetic. */
  readonly tolerance?: number;
}

/** A constant of random floats; the first has the role of the layer's weight. */
export type WeightMaker = (dims: readonly number[], name?: string) => Value;

const linearShape = [5, 6] as const;
const linear = { kind: 'linear', weightShape: linearShape, input: { shape: [2, 3, 6] } } as const;
const matrix = { ...linear, input: { shape: [4, 6] } } as const;
const byMatMul = (g: GraphBuilder, x: Value, delta: Value): Value => g.MatMul(x, g.Transpose(delta, [1, 0]));
const einsum = (equation: string) => (g: GraphBuilder, x: Value, w: Value) => g.emit('Einsum', [x, w], { equation });

function conv(
  kind: SiteKind,
  weightShape: readonly number[],
  shape: readonly number[],
  attributes: Attributes = {},
  hasBias = false,
): LayerForm {
  const group = (attributes['group'] as number | undefined) ?? 1;
  return {
    kind,
    weightShape,
    input: { shape },
    groups: group,
    hasBias,
    build: (g, x, weight) =>
      g.emit('Conv', [x, weight(weightShape), ...(hasBias ? [weight([weightShape[0]!])] : [])], attributes),
    change: (g, x, delta) => g.emit('Conv', [x, delta], { ...attributes, group: undefined }),
  };
}

/** `weightShape` is `[in, out / groups, ...kernel]`. */
function convTranspose(
  kind: SiteKind,
  weightShape: readonly number[],
  shape: readonly number[],
  attributes: Attributes = {},
  hasBias = false,
): LayerForm {
  const groups = (attributes['group'] as number | undefined) ?? 1;
  return {
    kind,
    weightShape,
    input: { shape },
    groups,
    hasBias,
    build: (g, x, weight) =>
      g.emit(
        'ConvTranspose',
        [x, weight(weightShape), ...(hasBias ? [weight([weightShape[1]! * groups])] : [])],
        attributes,
      ),
    change: (g, x, delta) => g.emit('ConvTranspose', [x, delta], { ...attributes, group: undefined }),
  };
}

function parameter(weightShape: readonly number[], shape: readonly number[], equation: string): LayerForm {
  return {
    kind: 'parameter',
    weightShape,
    input: { shape },
    build: (g, x, weight) => einsum(equation)(g, x, weight(weightShape, 'fc.down')),
    change: einsum(equation),
  };
}

/** Another expert for each of two rows. */
function chosen(
  weightShape: readonly number[],
  shape: readonly number[],
  multiply: (g: GraphBuilder, x: Value, weight: Value, experts: Value) => Value,
): LayerForm {
  const apply = (g: GraphBuilder, x: Value, weight: Value): Value =>
    multiply(g, x, weight, g.Add(g.Cast(g.ReduceSum(g.Mul(x, 0), [1, 2], false), 7), g.ints([2, 0])));
  return {
    kind: 'parameter',
    weightShape,
    input: { shape },
    build: (g, x, weight) => apply(g, x, weight(weightShape, 'fc.down')),
    change: apply,
  };
}

/** Created again for each form, so that its numbers do not depend on earlier forms. */
let random = new Random(6);
const int8 = codeType(codeTypes.int8)!;

/** The weight as codes behind DequantizeLinear, a scale for each of `dims[axis]`. */
function dequantized(g: WeightBuilder, dims: readonly number[], axis: number): Value {
  const scales = randomFloats([dims[axis]!], random).map((value) => 0.006 + 0.003 * value);
  return g.emit('DequantizeLinear', [g.codes('int8', randomCodes(int8, dims, random), dims), g.floats(scales, [dims[axis]!])], { axis }); // prettier-ignore
}

function rounded(g: WeightBuilder, value: Value, scale: number): Value {
  const by = [g.floats([scale], []), g.codes('uint8', [128], [])];
  return g.emit('DequantizeLinear', [g.emit('QuantizeLinear', [value, ...by]), ...by]);
}

/** A value as integers, with their scale and zero point. */
function integersOf(g: WeightBuilder, value: Value, scale: number): Value[] {
  const by = [g.floats([scale], []), g.codes('uint8', [128], [])];
  return [g.emit('QuantizeLinear', [value, ...by]), ...by];
}

/** Codes with a scale and a zero point for each output. */
function coded(g: WeightBuilder, dims: readonly number[]): Value[] {
  const out = dims[0]!;
  const scales = randomFloats([out], random).map((value) => 0.006 + 0.003 * value);
  return [
    g.codes('int8', randomCodes(int8, dims, random), dims),
    g.floats(scales, [out]),
    g.codes('int8', new Int8Array(out), [out]),
  ];
}

/** Integers multiplied and then scaled, as dynamic quantisation writes it; its bias rounded and added before. */
function ofIntegers(
  g: WeightBuilder,
  op: 'MatMulInteger' | 'ConvInteger',
  x: Value,
  dims: readonly number[],
  bias?: Value,
): Value {
  const [codes, scale, zero] = g.emitMany('DynamicQuantizeLinear', [x], 3);
  const weight = g.codes('uint8', randomCodes({ min: 0, max: 255 }, dims, random), dims);
  const weightScale = g.floats([0.005], []);
  const product = g.emit(op, [codes, weight, zero, g.codes('uint8', [131], [])]);
  const counted = bias && g.Cast(g.emit('Floor', [g.Div(bias, g.emit('Mul', [scale, weightScale]))]), 6);
  const shaped = counted && op === 'ConvInteger' ? g.Reshape(counted, [1, -1, ...dims.slice(2).map(() => 1)]) : counted;
  return g.Mul(g.Cast(shaped ? g.emit('Add', [product, shaped]) : product, 1), g.emit('Mul', [scale, weightScale]));
}

/** Codes cast to floats, their zero points taken away, times a scale for each of `dims[axis]`. */
function castCodes(g: WeightBuilder, dims: readonly number[], axis: number, zeros?: 'codes' | 'floats'): Value {
  const perGroup = dims.map((size, i) => (i === axis ? size : 1));
  const scales = randomFloats([dims[axis]!], random).map((value) => 0.006 + 0.003 * value);
  const codes = g.Cast(g.codes('int8', randomCodes(int8, dims, random), dims), 1);
  if (zeros === undefined) return g.Mul(codes, g.floats(scales, perGroup));
  const own = randomCodes({ min: -9, max: 9 }, perGroup, random);
  const zero = zeros === 'floats' ? g.floats(own, perGroup) : g.Cast(g.codes('int8', own, perGroup), 1);
  return g.Mul(g.floats(scales, perGroup), g.Sub(codes, zero));
}

/** By name. */
export const layerForms: Readonly<Record<string, LayerForm>> = {
  MatMul: { ...linear, build: (g, x, w) => g.MatMul(x, w([6, 5])), change: byMatMul },
  'MatMul and Add': {
    ...linear, hasBias: true,
    build: (g, x, w) => g.Add(w([5]), g.MatMul(x, w([6, 5]))), change: byMatMul,
  },
  'MatMul with a transposed weight': {
    ...linear, build: (g, x, w) => g.MatMul(x, g.Transpose(w([5, 6]), [1, 0])), change: byMatMul,
  },
  'MatMul of four dimensions': {
    ...linear, input: { shape: [2, 3, 2, 6] }, build: (g, x, w) => g.MatMul(x, w([6, 5])), change: byMatMul,
  },
  Gemm: {
    ...matrix, hasBias: true,
    build: (g, x, w) => g.Gemm(x, w([5, 6]), w([5]), { transB: true }), change: byMatMul,
  },
  'Gemm without transposition': {
    ...matrix, build: (g, x, w) => g.Gemm(x, w([6, 5]), undefined, { alpha: 1, beta: 1 }), change: byMatMul,
  },
  'Gemm that adds a computed value': {
    ...matrix,
    build: (g, x, w) => g.Gemm(x, w([6, 5]), g.Tanh(g.Slice(x, [0], [5], [1]))), change: byMatMul,
  },
  'Gemm that adds one number': {
    ...matrix, build: (g, x, w) => g.Gemm(x, w([6, 5]), w([1])), change: byMatMul,
  },
  'MatMul from the left': {
    ...linear, input: { shape: [2, 6, 3] }, hasBias: true,
    build: (g, x, w) => g.Add(g.MatMul(w([5, 6]), x), w([5, 1])), change: (g, x, delta) => g.MatMul(delta, x),
  },
  'MatMul from the left of a matrix': {
    ...matrix,
    build: (g, x, w) => g.MatMul(w([5, 6]), g.Transpose(x, [1, 0])),
    change: (g, x, delta) => g.MatMul(delta, g.Transpose(x, [1, 0])),
  },
  'Einsum with the features last': {
    ...linear, hasBias: true,
    build: (g, x, w) => g.Add(einsum('bsi,io->bso')(g, x, w([6, 5])), w([5])), change: einsum('bsi,oi->bso'),
  },
  'Einsum with the features in the middle': {
    ...linear, input: { shape: [2, 6, 3] },
    build: (g, x, w) => einsum('bis,oi->bos')(g, x, w([5, 6])), change: einsum('bis,oi->bos'),
  },
  'Einsum with the weight first, the outputs in front': {
    ...linear, input: { shape: [2, 3, 6] }, hasBias: true,
    build: (g, x, w) => g.Add(einsum('io, bsi -> obs')(g, w([6, 5]), x), w([5, 1, 1])), change: einsum('bsi,oi->obs'),
  },
  'part of a packed weight': {
    ...linear, build: (g, x, w) => g.MatMul(x, g.Split(w([6, 15]), [4, 5, 6], 1)[1]!), change: byMatMul,
  },
  'float64': {
    ...linear, storage: 'float64', input: { ...linear.input, type: 'float64' }, change: byMatMul, tolerance: 1e-6,
    build: (g, x) => g.MatMul(x, g.add(floatTensor('', 'float64', randomFloats([6, 5], random), [6, 5]))),
  },
  'float16': {
    ...linear, storage: 'float16', input: { ...linear.input, type: 'float16' }, hasBias: true, change: byMatMul, tolerance: 4e-3,
    build: (g, x) => g.Add(
      g.MatMul(x, g.add(floatTensor('', 'float16', randomFloats([6, 5], random), [6, 5]))),
      g.add(floatTensor('', 'float16', randomFloats([5], random), [5])),
    ),
  },
  'a float16 weight that is cast': {
    ...linear, storage: 'float16', change: byMatMul,
    build: (g, x) => g.MatMul(x, g.Cast(g.add(floatTensor('', 'float16', randomFloats([6, 5], random), [6, 5])), 1)),
  },
  MatMulNBits: {
    kind: 'linear', weightShape: [5, 20], input: { shape: [2, 3, 20] }, storage: 'uint4, blocks of 16', hasBias: true, change: byMatMul,
    build: (g, x, w) => g.emit('MatMulNBits', [
      x, g.codes('uint8', randomCodes({ min: 0, max: 255 }, [5, 2, 8], random), [5, 2, 8]),
      g.floats(randomFloats([10], random).map((value) => 0.05 + 0.02 * value), [10]),
      undefined, undefined, w([5]),
    ], { K: 20, N: 5, block_size: 16, bits: 4 }, 'com.microsoft'),
  },
  'DequantizeLinear before MatMul': {
    ...linear, storage: 'int8', change: byMatMul, build: (g, x) => g.MatMul(x, dequantized(g, [6, 5], 1)),
  },
  'DequantizeLinear before Gemm': {
    ...matrix, storage: 'int8', hasBias: true, change: byMatMul,
    build: (g, x, w) => g.Gemm(x, dequantized(g, [5, 6], 0), w([5]), { transB: true }),
  },
  'MatMul between rounded values': {
    ...linear, storage: 'int8', hasBias: true, change: byMatMul, tolerance: 0.06,
    build: (g, x, w) => g.Add(rounded(g, g.MatMul(rounded(g, x, 0.01), dequantized(g, [6, 5], 1)), 0.1), w([5])),
  },
  'Gemm between rounded values, its bias of integers': {
    ...matrix, storage: 'int8', hasBias: true, change: byMatMul, tolerance: 0.06,
    build: (g, x) => {
      const scales = randomFloats([5], random).map((value) => 0.006 + 0.003 * value);
      const codes = g.codes('int8', randomCodes(int8, [5, 6], random), [5, 6]);
      const weight = g.emit('DequantizeLinear', [codes, g.floats(scales, [5]), g.codes('int8', new Int8Array(5), [5])], { axis: 0 });
      const biasCodes = g.codes('int32', randomCodes({ min: -30000, max: 30000 }, [5], random), [5]);
      const biasZeros = g.codes('int32', new Int32Array(5), [5]);
      const bias = g.emit('DequantizeLinear', [biasCodes, g.floats(scales.map((scale) => 0.01 * scale), [5]), biasZeros], { axis: 0 });
      return rounded(g, g.Gemm(rounded(g, x, 0.01), weight, bias, { transB: true }), 0.1);
    },
  },
  'Conv between rounded values, its bias of integers': {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), storage: 'int8', hasBias: true, tolerance: 0.06,
    build: (g, x) => {
      const scales = randomFloats([6], random).map((value) => 0.006 + 0.003 * value);
      const codes = g.codes('int8', randomCodes(int8, [6, 4, 2, 2], random), [6, 4, 2, 2]);
      const weight = g.emit('DequantizeLinear', [codes, g.floats(scales, [6]), g.codes('int8', new Int8Array(6), [6])], { axis: 0 });
      const biasCodes = g.codes('int32', randomCodes({ min: -30000, max: 30000 }, [6], random), [6]);
      const biasZeros = g.codes('int32', new Int32Array(6), [6]);
      const bias = g.emit('DequantizeLinear', [biasCodes, g.floats(scales.map((scale) => 0.01 * scale), [6]), biasZeros], { axis: 0 });
      return rounded(g, g.emit('Conv', [rounded(g, x, 0.01), weight, bias]), 0.15);
    },
  },
  QGemm: {
    ...matrix, storage: 'int8', hasBias: true, change: byMatMul, tolerance: 0.06,
    build: (g, x) => g.emit('QGemm', [
      ...integersOf(g, x, 0.01), ...coded(g, [5, 6]), g.codes('int32', randomCodes({ min: -30000, max: 30000 }, [5], random), [5]),
    ], { transB: 1 }, 'com.microsoft'),
  },
  QLinearMatMul: {
    ...linear, storage: 'int8', change: byMatMul, tolerance: 0.06,
    build: (g, x) => {
      const weight = [g.codes('int8', randomCodes(int8, [6, 5], random), [6, 5]), g.floats([0.006], []), g.codes('int8', [0], [])];
      const [scale, zero] = [g.floats([0.1], []), g.codes('uint8', [128], [])];
      return g.emit('DequantizeLinear', [g.emit('QLinearMatMul', [...integersOf(g, x, 0.01), ...weight, scale, zero]), scale, zero]);
    },
  },
  QLinearConv: {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4], { pads: [1, 0, 0, 1] }), storage: 'int8', hasBias: true, tolerance: 0.06,
    build: (g, x) => {
      const [scale, zero] = [g.floats([0.15], []), g.codes('uint8', [128], [])];
      const bias = g.codes('int32', randomCodes({ min: -30000, max: 30000 }, [6], random), [6]);
      const y = g.emit('QLinearConv', [...integersOf(g, x, 0.01), ...coded(g, [6, 4, 2, 2]), scale, zero, bias], { pads: [1, 0, 0, 1] });
      return g.emit('DequantizeLinear', [y, scale, zero]);
    },
  },
  MatMulInteger: {
    ...linear, storage: 'uint8', hasBias: true, change: byMatMul, tolerance: 0.03,
    build: (g, x, w) => g.Add(ofIntegers(g, 'MatMulInteger', x, [6, 5]), w([5])),
  },
  'MatMulInteger, its bias rounded': {
    ...linear, storage: 'uint8', hasBias: true, change: byMatMul, tolerance: 0.03,
    build: (g, x, w) => ofIntegers(g, 'MatMulInteger', x, [6, 5], w([5])),
  },
  'Cast and Mul before MatMul': {
    ...linear, storage: 'int8', hasBias: true, change: byMatMul,
    build: (g, x, w) => g.Add(g.MatMul(x, castCodes(g, [6, 5], 1)), w([5])),
  },
  'Cast, Sub and Mul before Gemm': {
    ...matrix, storage: 'int8', change: byMatMul,
    build: (g, x) => g.Gemm(x, castCodes(g, [5, 6], 0, 'codes'), undefined, { transB: true }),
  },
  'Conv of one dimension': conv('conv1d', [6, 4, 3], [2, 4, 9], { dilations: [2], pads: [1, 2] }, true),
  'Conv with strides': conv('conv2d', [6, 4, 3, 2], [2, 4, 7, 6], { strides: [2, 1], pads: [1, 0, 1, 1] }, true),
  'Conv with a kernel of 1': conv('conv2d', [6, 4, 1, 1], [2, 4, 3, 3]),
  'Conv padded by the runtime': conv('conv2d', [6, 4, 3, 3], [2, 4, 5, 5], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  'Conv of three dimensions': conv('conv3d', [3, 2, 2, 2, 2], [2, 2, 3, 4, 3], {}, true),
  'Conv in groups': conv('conv2d', [6, 2, 3, 3], [2, 4, 5, 5], { group: 2, pads: [1, 1, 1, 1] }, true),
  'Conv by channels': conv('conv1d', [4, 1, 3], [2, 4, 6], { group: 4 }),
  'Conv and Add': {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), hasBias: true,
    build: (g, x, w) => g.Add(g.emit('Conv', [x, w([6, 4, 2, 2])]), w([1, 6, 1, 1])),
  },
  'ConvTranspose of one dimension': convTranspose('convTranspose1d', [4, 3, 4], [2, 4, 5], { strides: [2], pads: [1, 1] }, true),
  'ConvTranspose with strides and output padding': convTranspose(
    'convTranspose2d', [4, 3, 3, 2], [2, 4, 5, 4], { strides: [2, 1], pads: [1, 0, 1, 1], output_padding: [1, 0], dilations: [1, 2] },
  ),
  'ConvTranspose padded by the runtime': convTranspose('convTranspose2d', [4, 3, 3, 3], [2, 4, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  'ConvTranspose of a given size': convTranspose('convTranspose1d', [4, 3, 4], [2, 4, 5], { strides: [2], output_shape: [9] }),
  'ConvTranspose in groups': convTranspose('convTranspose2d', [4, 3, 2, 2], [2, 4, 3, 3], { group: 2, strides: [2, 2] }, true),
  'ConvTranspose and Add': {
    ...convTranspose('convTranspose2d', [4, 3, 2, 2], [2, 4, 3, 3]), hasBias: true,
    build: (g, x, w) => g.Add(g.emit('ConvTranspose', [x, w([4, 3, 2, 2])]), w([1, 3, 1, 1])),
  },
  'DequantizeLinear before Conv': {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), storage: 'int8', hasBias: true,
    build: (g, x, w) => g.emit('Conv', [x, dequantized(g, [6, 4, 2, 2], 0), w([6])]),
  },
  ConvInteger: {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), storage: 'uint8', hasBias: true, tolerance: 0.05,
    build: (g, x, w) => g.Add(ofIntegers(g, 'ConvInteger', x, [6, 4, 2, 2]), w([6, 1, 1])),
  },
  'ConvInteger, its bias rounded': {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), storage: 'uint8', hasBias: true, tolerance: 0.05,
    build: (g, x, w) => ofIntegers(g, 'ConvInteger', x, [6, 4, 2, 2], w([6])),
  },
  'Cast, Sub and Mul before Conv': {
    ...conv('conv2d', [6, 4, 2, 2], [2, 4, 4, 4]), storage: 'int8',
    build: (g, x) => g.emit('Conv', [x, castCodes(g, [6, 4, 2, 2], 0, 'floats')]),
  },
  Gather: {
    kind: 'embedding', weightShape: [7, 4], input: { shape: [2, 3], type: 'int32' },
    build: (g, ids, w) => g.Gather(w([7, 4]), ids, 0), change: (g, ids, delta) => g.Gather(delta, ids, 0),
  },
  'Gather of codes': {
    kind: 'embedding', weightShape: [7, 4], input: { shape: [2, 3], type: 'int32' }, storage: 'int8',
    build: (g, ids) => g.emit('DequantizeLinear', [
      g.Gather(g.codes('int8', randomCodes(int8, [7, 4], random), [7, 4]), ids, 0), g.floats([0.01], []), g.codes('int8', [3], []),
    ]),
    change: (g, ids, delta) => g.Gather(delta, ids, 0),
  },
  'Gather of codes that are cast and scaled': {
    kind: 'embedding', weightShape: [7, 4], input: { shape: [2, 3], type: 'int32' }, storage: 'int8',
    build: (g, ids) => g.Gather(castCodes(g, [7, 4], 0), ids, 0), change: (g, ids, delta) => g.Gather(delta, ids, 0),
  },
  'a stacked parameter, inputs last': parameter([3, 5, 6], [3, 2, 6], 'ebi,eoi->ebo'),
  'a stacked parameter, outputs last': parameter([3, 5, 6], [3, 2, 5], 'ebi,eio->ebo'),
  'a stacked parameter for all rows': parameter([3, 5, 6], [2, 6], 'bi,eoi->ebo'),
  'a stacked parameter with one per row, inputs last': chosen([3, 5, 6], [2, 6, 1], (g, x, weight, experts) =>
    g.MatMul(g.emit('GatherND', [weight, g.Unsqueeze(experts, [1])]), x)),
  'a stacked parameter with one per row, outputs last': chosen([3, 5, 6], [2, 1, 5], (g, x, weight, experts) =>
    g.MatMul(x, g.Gather(weight, experts, 0))),
}; // prettier-ignore

/** The model of a form, its path `fc`; `weights` gives its numbers. */
export function formModel(
  { build, input }: LayerForm,
  weights: (dims: readonly number[], i: number) => ArrayLike<number> = (dims) => randomFloats(dims, random),
): ModelProto {
  random = new Random(6);
  const g = new WeightBuilder(18, '/fc/');
  const x: Value = { name: 'x', type: input.type ?? 'float32', shape: input.shape };
  let count = 0;
  const y = build(g, x, (dims, name) => g.floats(weights(dims, count++), dims, name));
  // Nothing may hang on the layer's output being the model's.
  const out = g.Identity(y);
  return modelOf({ opset: g.opset, inputs: [x], outputs: [out.name], nodes: g.nodes, initializers: g.initializers });
}

/** Random feeds of a form. */
export function formFeeds({ input: { type = 'float32', shape }, weightShape }: LayerForm, seed = 8): Feeds {
  const draw = new Random(seed);
  if (type === 'int32') {
    const ids = Array.from({ length: sizeOf(shape) }, () => draw.index(weightShape[0]!));
    return { x: tensor('int32', Int32Array.from(ids), shape) };
  }
  const values = randomFloats(shape, draw);
  const { rawData, dims } = floatTensor('', type, values, shape);
  const bytes = (rawData as Uint8Array).buffer as ArrayBuffer;
  const data = type === 'float64' ? new Float64Array(bytes) : type === 'float16' ? new Uint16Array(bytes) : values;
  return { x: tensor(type, data, dims!) };
}

/** A model of the change that a delta, in torch's layout, adds to the output of a form. */
export function changeModel({ change, input }: LayerForm, delta: Tensor): ModelProto {
  const g = new WeightBuilder(18, 'change/');
  const x: Value = { name: 'x', type: input.type ?? 'float32', shape: input.shape };
  const isId = input.type === 'int32';
  const rows = isId || (input.type ?? 'float32') === 'float32' ? x : g.Cast(x, 1);
  const y = change(g, rows, g.floats(delta.data as Float32Array, delta.dims));
  return modelOf({ opset: g.opset, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
}
