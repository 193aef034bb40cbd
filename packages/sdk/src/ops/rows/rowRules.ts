/**
 * @file Which axis of an operator's result runs over the rows of a batch: one row per operator. An operator that lets rows
 * influence each other, or that is not here, has none.
 */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim } from '../../graph/value.ts';
import { attribute, intAttribute, intsAttribute, stringAttribute } from '../../graph/walk.ts';

/**
 * How a value depends on the batch. A number: the axis on which each row of the batch has its own part, `size ÷ rows` long
 * and in the batch's order, computed from this row alone and for each row alike. `same`: it depends on no input.
 * `uniform`: it depends on no input, and its axis 0 repeats the same part for each row of the batch.
 */
export type RowAxis = number | 'same' | 'uniform';

/** What a rule sees of an input. */
export interface RowOperand {
  readonly shape: readonly number[];
  readonly axis: RowAxis;
  /** Contents of a small integer tensor. */
  readonly ints?: readonly Dim[] | undefined;
}

/** A node of which at least one input has rows, or that may repeat a constant for each row. */
export interface RowSite {
  readonly node: NodeProto;
  readonly opset: number;
  /** Rows of the batch, at least 2. */
  readonly rows: number;
  /** How often all rows come one after the other on their axis; 1 but where an axis before theirs was joined with it. */
  readonly outer: number;
  /** Inputs; an omitted optional one is undefined. */
  readonly x: readonly (RowOperand | undefined)[];
  /** Shape of the first output. */
  readonly y: readonly number[];
}

/** The axis of the rows in all outputs, or in each; undefined where the rows are not kept apart. */
export type RowRule = (site: RowSite) => number | undefined | readonly (number | undefined)[];

/**
 * Whether an operand gives each row on `axis` its own part or all the same one. A negative axis is one that the operand
 * lacks, as broadcasting has it.
 */
function follows(operand: RowOperand | undefined, axis: number): boolean {
  if (!operand) return true;
  if (typeof operand.axis === 'number') return operand.axis === axis;
  return axis < 0 || operand.shape[axis] === 1 || (axis === 0 && operand.axis === 'uniform');
}

function isConstant(operand: RowOperand | undefined): boolean {
  return typeof operand?.axis !== 'number';
}

/** The row axis of the first input, where it has one and all others are constants. */
function axisOf({ x: [first, ...others] }: RowSite): number | undefined {
  return typeof first?.axis === 'number' && others.every(isConstant) ? first.axis : undefined;
}

/** The contents of an operand where all of them are numbers. */
function numbersIn(operand: RowOperand | undefined): readonly number[] | undefined {
  return operand?.ints?.every((each) => typeof each === 'number') ? (operand.ints as readonly number[]) : undefined;
}

function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Inputs broadcast together. */
const elementwise: RowRule = ({ x, y }) => {
  const [axis] = x.flatMap((operand) =>
    typeof operand?.axis === 'number' ? [operand.axis + y.length - operand.shape.length] : [],
  );
  if (axis === undefined) return undefined;
  return x.every((operand) => follows(operand, axis - y.length + (operand?.shape.length ?? 0))) ? axis : undefined;
};

/**
 * Over one axis, which must be another than that of the rows.
 *
 * @param axisInput which input says the axis, where it is no attribute
 */
const along =
  (fallback: number, axisInput?: number): RowRule =>
  (site) => {
    const axis = axisOf(site);
    const over =
      axisInput === undefined ? intAttribute(site.node, 'axis', fallback) : numbersIn(site.x[axisInput])?.[0];
    if (over === undefined) return undefined;
    return axis === undefined || fromFront(over, site.x[0]!.shape.length) === axis ? undefined : axis;
  };

/** Before opset 13 over all axes from `axis` on. */
const softmax: RowRule = (site) => {
  if (site.opset >= 13) return along(-1)(site);
  return fromAxis(1)(site);
};

/** Over all axes from `axis` on, with constant factors. */
const fromAxis =
  (fallback: number): RowRule =>
  (site) => {
    const axis = axisOf(site);
    const first = fromFront(intAttribute(site.node, 'axis', fallback), site.x[0]!.shape.length);
    return axis !== undefined && axis < first ? axis : undefined;
  };

/** Images, waveforms and their like, `[rows, channels, …]`, with constant weights. */
const batchFirst: RowRule = (site) => (axisOf(site) === 0 ? 0 : undefined);

const batchNormalization: RowRule = (site) => {
  const isTraining = intAttribute(site.node, 'training_mode', 0) === 1;
  return !isTraining && axisOf(site) === 0 ? [0] : undefined;
};

/** The positions of maxima count through the whole batch. */
const maxPool: RowRule = (site) => (axisOf(site) === 0 ? [0] : undefined);

/** Inputs after the first: region, scales, sizes; before opset 11 only scales. */
const resize: RowRule = (site) => {
  const crops = stringAttribute(site.node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize';
  const scales = site.x[site.opset < 11 ? 1 : 2];
  const isKept = scales?.shape[0] ? numbersIn(scales)?.[0] === 1 : site.x[0]!.shape[0] === site.y[0];
  const isPlain = !crops && attribute(site.node, 'axes') === undefined;
  return isPlain && isKept && axisOf(site) === 0 ? 0 : undefined;
};

/** Each row's own matrices, or matrix rows of the left operand. */
const matMul: RowRule = ({ node, x, y }) => {
  const [a, b] = x as [RowOperand, RowOperand];
  const has = (name: string): boolean => intAttribute(node, name, 0) === 1;
  if (has('transBatchA') || has('transBatchB')) return undefined;
  const rank = y.length;
  if (a.shape.length < 2 || b.shape.length < 2) return undefined;
  if (isConstant(b) && !has('transA') && a.axis === a.shape.length - 2) return rank - 2;
  const axis = typeof a.axis === 'number' ? a.axis + rank - a.shape.length : (b.axis as number) + rank - b.shape.length;
  const isBatch = axis < rank - 2;
  return isBatch && [a, b].every((operand) => follows(operand, axis - rank + operand.shape.length)) ? axis : undefined;
};

const gemm: RowRule = (site) => {
  const axis = axisOf(site);
  const isRow = axis === (intAttribute(site.node, 'transA', 0) === 1 ? 1 : 0);
  const addend = site.x[2];
  return isRow && follows(addend, (addend?.shape.length ?? 0) - 2) ? 0 : undefined;
};

/** Positions, rows, features; from a state that is the same for all rows. */
const recurrent: RowRule = (site) => {
  const isUsual = intAttribute(site.node, 'layout', 0) === 0 && !site.x[4];
  return isUsual && axisOf(site) === 1 ? [2, 1, 1] : undefined;
};

/** A product with constant packed weights over the last axis. */
const packedProduct: RowRule = (site) => {
  const axis = axisOf(site);
  return axis !== undefined && axis < site.x[0]!.shape.length - 1 ? axis : undefined;
};

/** The letter of the rows must be the same in all operands, and in the result. */
const einsum: RowRule = ({ node, x }) => {
  const equation = stringAttribute(node, 'equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  if (equation.includes('.') || right === undefined) return undefined;
  const terms = left.split(',');
  const letters = x.flatMap((operand, i) => (typeof operand!.axis === 'number' ? [terms[i]?.[operand!.axis]] : []));
  const [letter] = letters;
  if (letter === undefined || !right.includes(letter)) return undefined;
  const isKept = x.every((operand, i) => {
    const places = [...(terms[i] ?? '')].flatMap((each, axis) => (each === letter ? [axis] : []));
    return places.length === 0 ? isConstant(operand) : places.length === 1 && follows(operand, places[0]!);
  });
  return isKept ? right.indexOf(letter) : undefined;
};

const transpose: RowRule = (site) => {
  const axis = axisOf(site);
  const rank = site.y.length;
  const perm = intsAttribute(site.node, 'perm') ?? site.y.map((_, i) => rank - 1 - i);
  return axis === undefined ? undefined : perm.indexOf(axis);
};

/**
 * Rows stay as far apart in memory. So an axis has them that holds all rows as often as they come after what lies before it;
 * of each row it may hold more than before, or less.
 */
const reshape: RowRule = (site) => {
  const axis = axisOf(site);
  if (axis === undefined || site.y.includes(0)) return undefined;
  const times = outerOf(site.x[0]!.shape, axis, site.outer);
  const found = site.y.findIndex((size, i) => {
    const outer = times / product(site.y.slice(0, i));
    return Number.isInteger(outer) && size % (outer * site.rows) === 0;
  });
  return found < 0 ? undefined : found;
};

/** How often all rows come one after the other in memory. */
export function outerOf(shape: readonly number[], axis: number, outer: number): number {
  return product(shape.slice(0, axis)) * outer;
}

const concat: RowRule = (site) => {
  const { node, x, y } = site;
  const axis = x.find((operand) => !isConstant(operand))?.axis as number;
  const isOther = fromFront(intAttribute(node, 'axis', 0), y.length) !== axis;
  return isOther && x.every((operand) => follows(operand, axis)) ? axis : undefined;
};

/** Along other axes than that of the rows, or along theirs too where all of them are taken, in their order. */
const slice: RowRule = (site) => {
  const axis = axisOf(site);
  const { node, x, y } = site;
  const starts = intsAttribute(node, 'starts') ?? x[1]?.ints;
  const axes = x[3] ? numbersIn(x[3]) : (intsAttribute(node, 'axes') ?? starts?.map((_, i) => i));
  const steps = x[4] ? numbersIn(x[4]) : starts?.map(() => 1);
  if (axis === undefined || !axes || !steps) return undefined;
  const keeps = (each: number, i: number): boolean =>
    fromFront(each, y.length) !== axis || (steps[i] === 1 && y[axis] === x[0]!.shape[axis]);
  return axes.every(keeps) ? axis : undefined;
};

const pad: RowRule = (site) => {
  const axis = axisOf(site);
  const pads = intsAttribute(site.node, 'pads') ?? site.x[1]?.ints;
  if (axis === undefined || !pads) return undefined;
  const axes = site.x[3] ? numbersIn(site.x[3]) : site.y.map((_, i) => i);
  const at = axes?.findIndex((each) => fromFront(each, site.y.length) === axis);
  if (at === undefined || (at >= 0 && (pads[at] !== 0 || pads[at + axes!.length] !== 0))) return undefined;
  return axis;
};

/** A table read by each row's numbers, or each row's values at constant places. */
const gather: RowRule = ({ node, x }) => {
  const [data, indices] = x as [RowOperand, RowOperand];
  const over = fromFront(intAttribute(node, 'axis', 0), data.shape.length);
  if (isConstant(data)) return over + (indices.axis as number);
  if (!isConstant(indices) || data.axis === over) return undefined;
  return (data.axis as number) < over ? (data.axis as number) : (data.axis as number) + indices.shape.length - 1;
};

/** Of a packed table, with its scales. */
const gatherQuantized: RowRule = ({ node, x: [data, indices, ...scales] }) =>
  [data, ...scales].every(isConstant)
    ? fromFront(intAttribute(node, 'gather_axis', 0), data!.shape.length) + (indices!.axis as number)
    : undefined;

const gatherElements: RowRule = ({ node, x }) => {
  const [data, indices] = x as [RowOperand, RowOperand];
  const axis = (isConstant(data) ? indices.axis : data.axis) as number;
  const isOther = fromFront(intAttribute(node, 'axis', 0), data.shape.length) !== axis;
  return isOther && follows(data, axis) && follows(indices, axis) ? axis : undefined;
};

const gatherNd: RowRule = ({ node, x }) => {
  const [data, indices] = x as [RowOperand, RowOperand];
  if (intAttribute(node, 'batch_dims', 0) > 0) return x.every((operand) => follows(operand, 0)) ? 0 : undefined;
  const axis = indices.axis as number;
  return isConstant(data) && axis < indices.shape.length - 1 ? axis : undefined;
};

/** Repeats what is not the rows. Of constants, those that are repeated for each row become uniform. */
const expand: RowRule = ({ x, y, rows }) => {
  const { shape, axis } = x[0]!;
  const shift = y.length - shape.length;
  if (typeof axis !== 'number') return (y[0]! / (shift > 0 ? 1 : shape[0]!)) % rows === 0 ? 0 : undefined;
  return shape[axis] === y[axis + shift] ? axis + shift : undefined;
};

const trilu: RowRule = (site) => {
  const axis = axisOf(site);
  return axis !== undefined && axis < site.y.length - 2 ? axis : undefined;
};

/** Axes as an attribute or as input 1; all where there are none. */
const reduction: RowRule = (site) => {
  const axis = axisOf(site);
  const [{ shape }, given] = [site.x[0]!, site.x[1]];
  const axes = given ? numbersIn(given) : intsAttribute(site.node, 'axes');
  // Without axes it is over all of them, or over none; where they are computed, nothing is known.
  const isOverNone = !axes?.length && !(given && !axes) && intAttribute(site.node, 'noop_with_empty_axes', 0) === 1;
  if (axis === undefined || (!axes?.length && !isOverNone)) return undefined;
  const reduced = (axes ?? []).map((each) => fromFront(each, shape.length));
  if (reduced.includes(axis)) return undefined;
  const keeps = intAttribute(site.node, 'keepdims', 1) === 1;
  return keeps ? axis : axis - reduced.filter((each) => each < axis).length;
};

const argument: RowRule = (site) => {
  const axis = along(0)(site);
  const over = fromFront(intAttribute(site.node, 'axis', 0), site.x[0]!.shape.length);
  if (typeof axis !== 'number') return undefined;
  return intAttribute(site.node, 'keepdims', 1) === 1 || over > axis ? axis : axis - 1;
};

/**
 * A fused operator whose inputs have the rows on axis 0, but for constants at the places `weights`.
 *
 * @param ranks how many dimensions an input has at full length, of those that are broadcast
 */
const fused =
  (weights: readonly number[], outputs: number, ranks: Readonly<Record<number, number>> = {}): RowRule =>
  ({ x }) =>
    x.every((operand, i) => {
      if (weights.includes(i)) return isConstant(operand);
      return follows(operand, (operand?.shape.length ?? 0) - (ranks[i] ?? operand?.shape.length ?? 0));
    })
      ? new Array<number>(outputs).fill(0)
      : undefined;

/** Two operators of one name: ONNX's brings masks, ONNX Runtime's packed weights. */
const attention: RowRule = (site) =>
  site.node.domain === 'com.microsoft' ? fused([1, 2], 1)(site) : fused([], 1, { 3: 4 })(site);

const rotary: RowRule = (site) => {
  if (site.node.domain === 'com.microsoft') return fused([2, 3], 1)(site);
  return fused(site.x[3] ? [1, 2] : [], 1)(site);
};

const skipNormalization: RowRule = (site) =>
  site.x[0]!.shape.length > 1 ? fused([2, 3, 4], 4, { 1: site.x[0]!.shape.length })(site) : undefined;

/** Scales and zero points of one number, or one each on another axis than that of the rows. */
const quantization: RowRule = (site) => {
  const axis = axisOf(site);
  const scales = site.x[1];
  const over = fromFront(intAttribute(site.node, 'axis', 1), site.y.length);
  const isBlocked = attribute(site.node, 'block_size') !== undefined;
  const isWhole = !scales || product(scales.shape) === 1;
  return axis !== undefined && !isBlocked && (isWhole || over !== axis) ? axis : undefined;
};

/** Operators that only give memory another shape. */
export const reshapingOps: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

/** Rows by operator. */
export const rowRules: Readonly<Record<string, RowRule>> = {
  ...Object.fromEntries(
    [
      'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Mod', 'Min', 'Max', 'Sum', 'Mean', 'And', 'Or', 'Xor', 'Not', 'Equal', 'Less',
      'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Where', 'BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot',
      'Identity', 'Cast', 'Abs', 'Neg', 'Sign', 'Floor', 'Ceil', 'Round', 'Sqrt', 'Reciprocal', 'Exp', 'Log', 'Erf',
      'Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Tanh', 'Asinh', 'Acosh', 'Atanh', 'Sigmoid', 'Softplus',
      'Softsign', 'Relu', 'LeakyRelu', 'PRelu', 'ThresholdedRelu', 'Elu', 'Selu', 'Celu', 'HardSigmoid', 'HardSwish', 'Mish',
      'Swish', 'Gelu', 'FastGelu', 'QuickGelu', 'BiasGelu', 'Clip', 'IsNaN', 'IsInf', 'Shrink', 'Dropout', 'QLinearAdd', 'QLinearMul', 'QLinearSigmoid', 'QLinearLeakyRelu',
    ].map((op) => [op, elementwise]), // prettier-ignore
  ),
  ...Object.fromEntries(
    [
      'ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSum',
      'ReduceLogSumExp', 'ReduceSumSquare',
    ].map((op) => [op, reduction]), // prettier-ignore
  ),
  ...Object.fromEntries(
    [
      'Conv', 'ConvTranspose', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'LpPool', 'InstanceNormalization',
      'GroupNormalization', 'DepthToSpace', 'SpaceToDepth', 'LRN', 'QLinearConv', 'QLinearGlobalAveragePool',
    ].map((op) => [op, batchFirst]), // prettier-ignore
  ),
  ArgMax: argument,
  ArgMin: argument,
  Softmax: softmax,
  LogSoftmax: softmax,
  LpNormalization: along(-1),
  CumSum: along(0, 1),
  TopK: along(-1),
  Split: along(0),
  LayerNormalization: fromAxis(-1),
  SimplifiedLayerNormalization: fromAxis(-1),
  RMSNormalization: fromAxis(-1),
  BatchNormalization: batchNormalization,
  MaxPool: maxPool,
  Resize: resize,
  GridSample: ({ x }) => (x.every((operand) => follows(operand, 0)) ? 0 : undefined),
  MatMul: matMul,
  FusedMatMul: matMul,
  Gemm: gemm,
  Einsum: einsum,
  MatMulNBits: packedProduct,
  MatMulBnb4: packedProduct,
  QLinearMatMul: packedProduct,
  FusedConv: fused([1, 2], 1),
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Transpose: transpose,
  Reshape: reshape,
  Flatten: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Concat: concat,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  GatherBlockQuantized: gatherQuantized,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Expand: expand,
  Tile: (site) => (isConstant(site.x[1]) ? expand(site) : undefined),
  Trilu: trilu,
  QuantizeLinear: quantization,
  DequantizeLinear: quantization,
  Attention: attention,
  MultiHeadAttention: fused([3], 1, { 5: 4 }),
  GroupQueryAttention: fused([6, 7, 8], 3, { 10: 4 }),
  RotaryEmbedding: rotary,
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: (site) => skipNormalization(site),
  EmbedLayerNormalization: fused([2, 3, 4, 5, 6], 3),
};
