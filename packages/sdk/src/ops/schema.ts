/** @file Attributes of operators with their schemas' defaults. */

import type { NodeProto } from '../graph/proto.ts';
import type { Dim } from '../graph/value.ts';
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { divideExactly } from './dim.ts';

/** Defaults of attributes, unless an operator below overrides them. */
const defaults = {
  activation: '',
  allowzero: 0,
  alpha: 1,
  approximate: 'none',
  auto_pad: 'NOTSET',
  axis: 0,
  batch_dims: 0,
  beta: 1,
  bits: 4,
  block_size: 0,
  blocksize: 1,
  channels_last: 0,
  direction: 'forward',
  do_rotary: 0,
  epsilon: 1e-5,
  fmod: 0,
  gamma: 1,
  gather_axis: 0,
  group: 1,
  interleaved: 0,
  keep_aspect_ratio_policy: 'stretch',
  keepdims: 1,
  kv_num_heads: 0,
  layout: 0,
  mode: '',
  noop_with_empty_axes: 0,
  num_heads: 0,
  output_dtype: 0,
  p: 2,
  q_num_heads: 0,
  quant_type: -1,
  quantize_axis: 1,
  stash_type: 1,
  training_mode: 0,
  transA: 0,
  transB: 0,
  transBatchA: 0,
  transBatchB: 0,
};

type Defaults = typeof defaults;

const floats: ReadonlySet<string> = new Set<keyof Defaults>(['alpha', 'beta', 'epsilon', 'gamma']);

const lastAxis = { axis: -1 };

/** Overrides by operator. */
const ownDefaults: Readonly<Record<string, Partial<Defaults>>> = {
  DepthToSpace: { mode: 'DCR' },
  DequantizeLinear: { axis: 1 },
  EmbedLayerNormalization: { epsilon: 1e-12 },
  Flatten: { axis: 1 },
  GatherBlockQuantized: { block_size: 128 },
  GridSample: { mode: 'linear' },
  GroupNorm: { channels_last: 1 },
  HardSigmoid: { alpha: 0.2, beta: 0.5 },
  LRN: { alpha: 1e-4, beta: 0.75 },
  LayerNormalization: lastAxis,
  LeakyRelu: { alpha: 0.01 },
  LogSoftmax: lastAxis,
  LpNormalization: lastAxis,
  MatMulBnb4: { transB: 1 },
  OneHot: lastAxis,
  Pad: { mode: 'constant' },
  QEmbedLayerNormalization: { epsilon: 1e-12 },
  QLinearLeakyRelu: { alpha: 0.01 },
  QuantizeLinear: { axis: 1 },
  QuickGelu: { alpha: 1.702 },
  RMSNormalization: lastAxis,
  Resize: { mode: 'nearest' },
  Selu: { alpha: 1.67326319217681884765625, gamma: 1.05070102214813232421875 },
  SimplifiedLayerNormalization: lastAxis,
  SkipGroupNorm: { channels_last: 1 },
  SkipLayerNormalization: { epsilon: 1e-12 },
  SkipSimplifiedLayerNormalization: { epsilon: 1e-12 },
  Softmax: lastAxis,
  TopK: lastAxis,
  Upsample: { mode: 'nearest' },
};

const random: ReadonlySet<string> = new Set([
  'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Bernoulli', 'Multinomial',
]); // prettier-ignore

/** Whether a node is random, including Dropout with a training input (since opset 12). */
export function isRandom({ opType = '', input = [] }: NodeProto): boolean {
  return random.has(opType) || (opType === 'Dropout' && Boolean(input[2]));
}

/** An attribute of a node, or its default. */
export function attributeOf<Name extends keyof Defaults>(node: NodeProto, name: Name): Defaults[Name] {
  const { opType = '' } = node;
  const own = Object.hasOwn(ownDefaults, opType) ? ownDefaults[opType]![name] : undefined;
  const value: number | string = own ?? defaults[name];
  const read = typeof value === 'string' ? stringAttribute : floats.has(name) ? floatAttribute : intAttribute;
  return (read as (node: NodeProto, name: string, fallback: unknown) => Defaults[Name])(node, name, value);
}

/** An axis counted from the front. */
export function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** The attribute `axis` of a node, from the front. Softmax had another default before opset 13. */
export function axisOf(node: NodeProto, rank: number, opset = 13): number {
  const { opType = '' } = node;
  const isOld = opset < 13 && (opType === 'Softmax' || opType === 'LogSoftmax');
  return fromFront(isOld ? intAttribute(node, 'axis', 1) : attributeOf(node, 'axis'), rank);
}

/** Known integer contents of a node's input; undefined for unknown ones. */
export type KnownInts = (input: number) => readonly number[] | undefined;

/** The axes of a reduction, from the front; default all, or none with `noop_with_empty_axes`. Undefined if computed. */
export function reducedAxes(node: NodeProto, rank: number, ints: KnownInts): readonly number[] | undefined {
  const axes = intsAttribute(node, 'axes') ?? ints(1);
  if (!axes && node.input?.[1]) return undefined;
  if (axes?.length) return axes.map((axis) => fromFront(axis, rank));
  return attributeOf(node, 'noop_with_empty_axes') === 1 ? [] : Array.from({ length: rank }, (_, i) => i);
}

/** The slice of an axis: `count` positions from `first` on, `step` apart. */
export interface SlicedAxis {
  readonly axis: number;
  readonly first: number;
  readonly count: number;
  readonly step: number;
}

/** The operands of a Slice, lists of one length, possibly with symbols; undefined for unknown ones. */
export function sliceOperands<T extends Dim>(
  node: NodeProto,
  ints: (input: number) => readonly T[] | undefined,
): Readonly<Record<'starts' | 'ends' | 'axes' | 'steps', readonly (T | number)[] | undefined>> {
  const starts = intsAttribute(node, 'starts') ?? ints(1);
  return {
    starts,
    ends: intsAttribute(node, 'ends') ?? ints(2),
    axes: node.input?.[3] ? ints(3) : (intsAttribute(node, 'axes') ?? starts?.map((_, i) => i)),
    steps: node.input?.[4] ? ints(4) : starts?.map(() => 1),
  };
}

/** The sliced axes of an operand. Undefined for unknown operands. */
export function slicedAxes(node: NodeProto, shape: readonly number[], ints: KnownInts): SlicedAxis[] | undefined {
  const { starts, ends, axes, steps } = sliceOperands(node, ints);
  if (!starts || !ends || !axes || !steps || steps.includes(0)) return undefined;
  // Lists of different lengths are invalid.
  if ([ends, axes, steps].some(({ length }) => length !== starts.length)) return undefined;
  return axes.map((each, i) => {
    const axis = fromFront(each, shape.length);
    return { axis, step: steps[i]!, ...slicedRange(shape[axis] ?? 0, starts[i]!, ends[i]!, steps[i]!) };
  });
}

/** The positions of `start:end:step` in an axis; negative indices count from the end, the rest is clipped. */
export function slicedRange(size: number, start: number, end: number, step: number): Omit<SlicedAxis, 'axis' | 'step'> {
  const clamp = (value: number): number => {
    const index = fromFront(value, size);
    return step > 0 ? Math.min(Math.max(index, 0), size) : Math.min(Math.max(index, -1), size - 1);
  };
  const [first, last] = [clamp(start), clamp(end)];
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}

/** The sizes of a Split's outputs: given, or equal parts with a smaller last one. Undefined if unknown. */
export function splitSizes(
  node: NodeProto,
  total: Dim,
  given: readonly Dim[] | undefined,
): readonly (Dim | undefined)[] | undefined {
  const sizes = intsAttribute(node, 'split') ?? given;
  if (sizes || node.input?.[1]) return sizes;
  const outputs = node.output ?? [];
  const count = intAttribute(node, 'num_outputs', outputs.length);
  if (typeof total !== 'number') return outputs.map(() => divideExactly(total, count));
  const each = Math.ceil(total / count);
  return outputs.map((_, i) => Math.max(0, Math.min(each, total - i * each)));
}

/** A list with `none` at the axes that Unsqueeze inserts. */
export function unsqueezed<T>(list: readonly T[], axes: readonly number[], none: T): T[] {
  const rank = list.length + axes.length;
  const inserted = new Set(axes.map((axis) => fromFront(axis, rank)));
  const rest = [...list];
  return Array.from({ length: rank }, (_, i) => (inserted.has(i) ? none : rest.shift()!));
}

/** The permutation of a Transpose; reversed by default. */
export function permOf(node: NodeProto, rank: number): readonly number[] {
  return intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

/** Axes of an Einsum's operands and result, as letters. */
export interface Equation {
  readonly terms: readonly string[];
  /** By default the letters that occur once. */
  readonly result: string;
  readonly isWritten: boolean;
}

/** The equation of an Einsum. */
export function equationOf(node: NodeProto): Equation {
  const [left = '', written] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  const letters = [...left].filter((letter) => /[A-Za-z]/.test(letter));
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort();
  const result = written ?? `${left.includes('...') ? '...' : ''}${once.join('')}`;
  return { terms: left.split(','), result, isWritten: written !== undefined };
}

const weightInputs: Readonly<Record<string, readonly number[]>> = {
  MatMul: [1, 0],
  Gemm: [1, 0],
  Einsum: [1, 0],
  Conv: [1],
  ConvTranspose: [1],
  DeformConv: [1],
  MatMulInteger: [1, 0],
  ConvInteger: [1],
  QLinearMatMul: [3],
  QLinearConv: [3],
  LSTM: [1, 2],
  GRU: [1, 2],
  RNN: [1, 2],
  DynamicQuantizeLSTM: [1, 2],
  AttnLSTM: [1, 2],
  Attention: [1],
  QAttention: [1],
  DecoderAttention: [2, 3],
  LongformerAttention: [1, 4],
  DynamicQuantizeMatMul: [1],
  MatMulIntegerToFloat: [1],
  FusedMatMul: [1, 0],
  TransposeMatMul: [1, 0],
  FusedMatMulActivation: [1, 0],
  FusedGemm: [1, 0],
  GemmFastGelu: [1],
  GemmFloat8: [1],
  QGemm: [3],
  FusedConv: [1],
  NhwcConv: [1],
  NhwcFusedConv: [1],
  ConvTransposeWithDynamicPads: [1],
  MatMulNBits: [1],
  MatMulBnb4: [1],
  MatMulFpQ4: [1],
  SparseToDenseMatMul: [1, 0],
  MoE: [2, 4],
  QMoE: [2, 5],
};

/** Weight inputs of an operator; if either may be the weight, the usual first. */
export function weightInputsOf({ opType = '' }: NodeProto): readonly number[] {
  return Object.hasOwn(weightInputs, opType) ? weightInputs[opType]! : [];
}
