/** @file THE table of axes: for an axis of a result, the operands' axes with the same, independent positions. */

import type { NodeProto } from '../graph/proto.ts';
import type { Dim } from '../graph/value.ts';
import { attribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { isKnownDomain } from './domains.ts';
import { numbersIn } from './inference/site.ts';
import { attributeOf, axisOf, equationOf, fromFront, permOf, reducedAxes, sliceOperands } from './schema.ts';

/** An axis of an operand, or `whole` if every position of the result reads all of it alike. */
export type TracedAxis = number | 'whole';

export interface AxisOperand {
  readonly shape: readonly number[];
  /** Contents of a small integer tensor. */
  readonly ints?: readonly Dim[] | undefined;
}

/** An axis of one output of a node. */
export interface AxisSite {
  readonly node: NodeProto;
  readonly opset: number;
  /** Operands; undefined for an omitted one. */
  readonly x: readonly (AxisOperand | undefined)[];
  readonly y: readonly number[];
  readonly output: number;
  readonly axis: number;
  /** Number of equal, consecutive parts of the axis that must stay independent: its size for each position. */
  readonly parts: number;
}

/** Missing trailing operands are `whole`. */
type AxisRule = (site: AxisSite) => readonly TracedAxis[] | undefined;

/** The axes of operands whose equal parts yield the parts of a result's axis; undefined if not independent. */
export function traceAxis(site: AxisSite): readonly TracedAxis[] | undefined {
  const { opType = '' } = site.node;
  const rule = Object.hasOwn(rules, opType) && isKnownDomain(site.node) ? rules[opType]! : undefined;
  const traced = rule?.(site);
  return traced && site.x.map((_, i) => traced[i] ?? 'whole');
}

/** Whether the operator is elementwise, with broadcasting. */
export function isElementwise(node: NodeProto): boolean {
  return elementwise.has(node.opType ?? '') && isKnownDomain(node);
}

/** Whether the operator only reshapes. */
export function isReshape(node: NodeProto): boolean {
  return reshaping.has(node.opType ?? '') && isKnownDomain(node);
}

/** Whether the operator is a reduction. */
export function isReduction(node: NodeProto): boolean {
  return reductions.has(node.opType ?? '') && isKnownDomain(node);
}

const elementwise: ReadonlySet<string> = new Set([
  'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Mod', 'Min', 'Max', 'Sum', 'Mean', 'And', 'Or', 'Xor', 'Not', 'Equal', 'Less',
  'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Where', 'BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot',
  'Identity', 'Cast', 'Abs', 'Neg', 'Sign', 'Floor', 'Ceil', 'Round', 'Sqrt', 'Reciprocal', 'Exp', 'Log', 'Erf', 'Sin', 'Cos',
  'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Tanh', 'Asinh', 'Acosh', 'Atanh', 'Sigmoid', 'Softplus', 'Softsign',
  'Relu', 'LeakyRelu', 'PRelu', 'ThresholdedRelu', 'Elu', 'Selu', 'Celu', 'HardSigmoid', 'HardSwish', 'Mish', 'Swish', 'Gelu',
  'FastGelu', 'QuickGelu', 'BiasGelu', 'Clip', 'IsNaN', 'IsInf', 'Shrink', 'QLinearAdd', 'QLinearMul', 'QLinearSigmoid',
  'QLinearLeakyRelu',
]); // prettier-ignore

const reductions: ReadonlySet<string> = new Set([
  'ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSum',
  'ReduceLogSumExp', 'ReduceSumSquare',
]); // prettier-ignore

/** Operators on `[rows, channels, …]`. */
const batchwise = [
  'Conv', 'ConvTranspose', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'LpPool', 'InstanceNormalization',
  'GroupNormalization', 'DepthToSpace', 'SpaceToDepth', 'LRN', 'QLinearConv', 'QLinearGlobalAveragePool',
]; // prettier-ignore

const reshaping: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

function over({ node, x, opset }: AxisSite): number {
  return axisOf(node, x[0]!.shape.length, opset);
}

/** An operand's axis; `whole` if it is missing or broadcast. */
function ownAxis(operand: AxisOperand | undefined, axis: number): TracedAxis {
  return !operand || axis < 0 || operand.shape[axis] === 1 ? 'whole' : axis;
}

const broadcast: AxisRule = ({ axis, x, y }) =>
  x.map((operand) => ownAxis(operand, axis - y.length + (operand?.shape.length ?? 0)));

const along: AxisRule = (site) => (over(site) === site.axis ? undefined : [site.axis]);

const fromAxis: AxisRule = (site) => (site.axis < over(site) ? [site.axis] : undefined);

/** Before opset 13, over all axes from `axis` on. */
const softmax: AxisRule = (site) => (site.opset >= 13 ? along : fromAxis)(site);

const cumSum: AxisRule = ({ axis, x, y }) => {
  const [given] = numbersIn(x[1]) ?? [];
  return given === undefined || fromFront(given, y.length) === axis ? undefined : [axis];
};

/** Operators over the last axes. */
const beforeLast =
  (last: number): AxisRule =>
  ({ axis, x }) =>
    axis < x[0]!.shape.length - last ? [axis] : undefined;

const batchFirst: AxisRule = ({ axis }) => (axis === 0 ? [0] : undefined);

const batchNormalization: AxisRule = (site) =>
  site.output === 0 && attributeOf(site.node, 'training_mode') === 0 ? batchFirst(site) : undefined;

/** The indices of maxima count through the whole batch. */
const maxPool: AxisRule = (site) => (site.output === 0 ? batchFirst(site) : undefined);

/** Operands after the first: region, scales, sizes; before opset 11 only scales. */
const resize: AxisRule = (site) => {
  const crops = stringAttribute(site.node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize';
  const scales = site.x[site.opset < 11 ? 1 : 2];
  const isKept = scales?.shape[0] ? numbersIn(scales)?.[0] === 1 : site.x[0]!.shape[0] === site.y[0];
  const isPlain = !crops && attribute(site.node, 'axes') === undefined;
  return isPlain && isKept ? batchFirst(site) : undefined;
};

/** Rows come from the left operand, columns from the right, batches from both. */
const matMul: AxisRule = (site) => {
  const { node, axis, x, y } = site;
  const [a, b] = x as readonly [AxisOperand, AxisOperand];
  const has = (name: 'transA' | 'transB' | 'transBatchA' | 'transBatchB'): boolean => attributeOf(node, name) === 1;
  const ranks = [a.shape.length, b.shape.length] as const;
  if (has('transBatchA') || has('transBatchB') || Math.min(...ranks) < 2) return undefined;
  if (axis === y.length - 2) return [ranks[0] - (has('transA') ? 1 : 2)];
  if (axis === y.length - 1) return ['whole', ranks[1] - (has('transB') ? 2 : 1)];
  return broadcast(site);
};

const gemm: AxisRule = ({ node, axis, x }) => {
  const addend = ownAxis(x[2], axis - 2 + (x[2]?.shape.length ?? 0));
  return axis === 0
    ? [attributeOf(node, 'transA'), 'whole', addend]
    : ['whole', 1 - attributeOf(node, 'transB'), addend];
};

/** Inputs are `[positions, rows, features]`, states `[directions, rows, features]`. */
const recurrent: AxisRule = ({ node, axis, output, x }) => {
  const isUsual = attributeOf(node, 'layout') === 0 && !x[4];
  if (!isUsual || axis !== (output === 0 ? 2 : 1)) return undefined;
  return [1, 'whole', 'whole', 'whole', 'whole', ownAxis(x[5], 1), ownAxis(x[6], 1)];
};

/** Each operand must have the letter at most once. */
const einsum: AxisRule = ({ node, axis, x }) => {
  const { terms, result } = equationOf(node);
  if (result.includes('.')) return undefined;
  const places = terms.map((term) => [...term].flatMap((each, i) => (each === result[axis] ? [i] : [])));
  if (places.some(({ length }) => length > 1)) return undefined;
  return places.map(([place = -1], i) => ownAxis(x[i], place));
};

const transpose: AxisRule = ({ node, axis, y }) => [permOf(node, y.length)[axis]!];

/** Parts stay together if as many elements precede the axis on both sides, and both divide. */
const reshape: AxisRule = ({ axis, parts, x: [from], y }) => {
  const before = sizeOf(y.slice(0, axis));
  const own = from!.shape.findIndex(
    (size, i) => size > 1 && size % parts === 0 && sizeOf(from!.shape.slice(0, i)) === before,
  );
  return own < 0 ? undefined : [own];
};

const concat: AxisRule = (site) =>
  over(site) === site.axis ? undefined : site.x.map((operand) => ownAxis(operand, site.axis));

/** Other axes, or an axis that is kept whole and in order. */
const slice: AxisRule = ({ node, axis, x, y }) => {
  const { axes, steps } = sliceOperands(node, (i) => x[i]?.ints);
  const keeps = (each: Dim, i: number): boolean =>
    fromFront(Number(each), y.length) !== axis || (steps?.[i] === 1 && y[axis] === x[0]!.shape[axis]);
  return axes?.every(keeps) ? [axis] : undefined;
};

const pad: AxisRule = ({ node, axis, x, y }) => {
  const pads = intsAttribute(node, 'pads') ?? x[1]?.ints;
  const axes = x[3] ? numbersIn(x[3]) : y.map((_, i) => i);
  const at = axes?.findIndex((each) => fromFront(each, y.length) === axis);
  if (!pads || at === undefined || (at >= 0 && (pads[at] !== 0 || pads[at + axes!.length] !== 0))) return undefined;
  return [axis];
};

/** The axes of the indices replace the gathered one. */
const gather: AxisRule = (site) => {
  const { axis, x } = site;
  const [first, count] = [over(site), x[1]!.shape.length];
  if (axis < first) return [axis];
  return axis < first + count ? ['whole', axis - first] : [axis - count + 1];
};

const gatherQuantized: AxisRule = ({ node, axis, x: [data, indices] }) => {
  const own = axis - fromFront(attributeOf(node, 'gather_axis'), data!.shape.length);
  return own >= 0 && own < indices!.shape.length ? ['whole', own] : undefined;
};

const gatherElements: AxisRule = (site) => {
  const { axis, x, y } = site;
  const isKept = over(site) !== axis && x[0]!.shape[axis] === y[axis];
  return isKept ? x.map((operand) => ownAxis(operand, axis)) : undefined;
};

const gatherNd: AxisRule = ({ node, axis, x: [data, indices] }) => {
  if (axis < attributeOf(node, 'batch_dims')) return [ownAxis(data, axis), ownAxis(indices, axis)];
  return axis < indices!.shape.length - 1 ? ['whole', axis] : undefined;
};

/** Repeats axes of size 1. */
const expand: AxisRule = ({ axis, x: [data], y }) => {
  const own = ownAxis(data, axis - y.length + data!.shape.length);
  return own === 'whole' || data!.shape[own] === y[axis] ? [own] : undefined;
};

/** The axis of the operand for an axis of the result, where `reduced` axes may be dropped. */
const keptAxis = ({ node, axis }: AxisSite, reduced: readonly number[]): readonly TracedAxis[] | undefined => {
  let own = axis;
  if (attributeOf(node, 'keepdims') === 0)
    for (const each of [...reduced].sort((a, b) => a - b)) if (each <= own) own++;
  return reduced.includes(own) ? undefined : [own];
};

const reduction: AxisRule = (site) => {
  const axes = reducedAxes(site.node, site.x[0]!.shape.length, (i) => numbersIn(site.x[i]));
  return axes && keptAxis(site, axes);
};

/**
 * A fused operator with the batch on axis 0, except for `weights`; `ranks` are the full ranks of broadcast operands.
 */
const fused =
  (weights: readonly number[], outputs: number, ranks: Readonly<Record<number, number>> = {}): AxisRule =>
  ({ axis, output, x }) => {
    if (axis !== 0 || output >= outputs) return undefined;
    return x.map((operand, i) => {
      const rank = operand?.shape.length ?? 0;
      return weights.includes(i) ? 'whole' : ownAxis(operand, rank - (ranks[i] ?? rank));
    });
  };

/** ONNX's Attention has masks, ONNX Runtime's packed weights. */
const attention: AxisRule = (site) =>
  site.node.domain === 'com.microsoft' ? fused([1, 2], 1)(site) : fused([], 1, { 3: 4 })(site);

const rotary: AxisRule = (site) => {
  if (site.node.domain === 'com.microsoft') return fused([2, 3], 1)(site);
  return fused(site.x[3] ? [1, 2] : [], 1)(site);
};

const skipNormalization: AxisRule = (site) => {
  const rank = site.x[0]!.shape.length;
  return rank > 1 ? fused([2, 3, 4], 4, { 1: rank })(site) : undefined;
};

/** Scales and zero points of one number, or along another axis. */
const quantization: AxisRule = (site) => {
  const scales = site.x[1];
  const isBlocked = attribute(site.node, 'block_size') !== undefined;
  const isApart = !scales || sizeOf(scales.shape) === 1 || over(site) !== site.axis;
  return !isBlocked && isApart ? [site.axis] : undefined;
};

const rules: Readonly<Record<string, AxisRule>> = {
  ...Object.fromEntries([...elementwise].map((op) => [op, broadcast])),
  ...Object.fromEntries([...reductions].map((op) => [op, reduction])),
  ...Object.fromEntries(batchwise.map((op) => [op, batchFirst])),
  ...Object.fromEntries([...reshaping].map((op) => [op, reshape])),
  Dropout: broadcast,
  ArgMax: (site) => keptAxis(site, [over(site)]),
  ArgMin: (site) => keptAxis(site, [over(site)]),
  Softmax: softmax,
  LogSoftmax: softmax,
  LpNormalization: along,
  CumSum: cumSum,
  TopK: along,
  Split: along,
  LayerNormalization: fromAxis,
  SimplifiedLayerNormalization: fromAxis,
  RMSNormalization: fromAxis,
  BatchNormalization: batchNormalization,
  MaxPool: maxPool,
  Resize: resize,
  GridSample: fused([], 1),
  MatMul: matMul,
  FusedMatMul: matMul,
  Gemm: gemm,
  Einsum: einsum,
  MatMulNBits: beforeLast(1),
  MatMulBnb4: beforeLast(1),
  QLinearMatMul: beforeLast(1),
  FusedConv: fused([1, 2], 1),
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  GatherBlockQuantized: gatherQuantized,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Expand: expand,
  Tile: expand,
  Trilu: beforeLast(2),
  QuantizeLinear: quantization,
  DequantizeLinear: quantization,
  Attention: attention,
  MultiHeadAttention: fused([3], 1, { 5: 4 }),
  GroupQueryAttention: fused([6, 7, 8], 3, { 10: 4 }),
  RotaryEmbedding: rotary,
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: skipNormalization,
  EmbedLayerNormalization: fused([2, 3, 4, 5, 6], 3),
};
