/**
 * @file THE gradient table: a row per operator, a function per input. The driver undoes broadcasting, so rules assume
 * equal shapes. `dy` is the output's cotangent. To add an operator, add a row here and one in
 * `test/support/gradientCases.ts`, which checks it numerically.
 */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { float } from '../graph/attributes.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { NodeProto } from '../graph/proto.ts';
import { intAttribute } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import {
  celu, elu, hardSigmoid, hardSwish, leakyRelu, mish, preluInput, preluSlope, selu, shrink, softsign, swish,
  thresholdedRelu } from './activations.ts'; // prettier-ignore
import {
  batchNormInput, batchNormScale, channelBias, groupNormBias, groupNormInput, groupNormScale, instanceNormInput, instanceNormScale, lrnBack,
  meanVarianceBack } from './normalization/channelNorm.ts'; // prettier-ignore
import {
  columnsBack, concatPart, depthToSpaceBack, expandBack, sliceBack, spaceToDepthBack, splitBack, tileBack, transposeBack } from './movement/movement.ts'; // prettier-ignore
import { clipHigh, clipInput, clipLow, extremeOperand, signOf } from './comparisons.ts';
import { convInput, convTransposeInput, convTransposeWeight, convWeight } from './images/conv.ts';
import { dropoutBack } from './dropout.ts';
import { einsumOperand } from './einsum.ts';
import {
  layerNormBias,
  layerNormInput,
  layerNormScale,
  lpNormBack,
  rmsNormInput,
  rmsNormScale,
} from './normalization/layerNorm.ts';
import { gemmInput, matMulLeft, matMulRight } from './products.ts';
import { gatherData, gatherElementsData, gatherNdData, topKBack } from './movement/gather.ts';
import { padBack } from './movement/pad.ts';
import {
  averagePoolBack,
  globalAverageBack,
  globalLpBack,
  globalMaxBack,
  lpPoolBack,
  maxPoolBack,
} from './images/pooling.ts';
import {
  dequantizeBack, dynamicQuantizeBack, integerConv, integerProduct, integerToFloat, packedProduct, quantizeBack, quantizedRecurrent } from './quantized.ts'; // prettier-ignore
import {
  reduceExtremeBack, reduceL1Back, reduceL2Back, reduceLogSumBack, reduceLogSumExpBack, reduceMeanBack, reduceProdBack,
  reduceSumBack, reduceSumSquareBack } from './reductions.ts'; // prettier-ignore
import { scatterData, scatterUpdates } from './movement/scatter.ts';
import { gridImage, gridPoints } from './images/gridSample.ts';
import { gruCell } from './recurrent/gru.ts';
import { lstmCell } from './recurrent/lstm.ts';
import { recurrentRule } from './recurrent/recurrent.ts';
import { resizeBack } from './images/resize.ts';
import {
  axesFrom,
  castTo,
  type GradientRule,
  input,
  isFloat,
  rankOf,
  reshapeLike,
  type Vjp,
  type VjpSite,
  where,
} from './vjp.ts';
import { CONTRIB } from '../ops/domains.ts';
import { attributeOf, axisOf } from '../ops/schema.ts';

/** Operators with a gradient. */
export type DifferentiableOp =
  | 'Add' | 'Sub' | 'Mul' | 'Div' | 'Neg' | 'Abs' | 'Exp' | 'Log' | 'Sqrt' | 'Reciprocal' | 'Pow' | 'Erf' | 'Tanh'
  | 'Sigmoid' | 'Relu' | 'Sin' | 'Cos' | 'Softplus' | 'Gelu' | 'Softmax' | 'LogSoftmax' | 'LayerNormalization' | 'MatMul'
  | 'Gemm' | 'Conv' | 'Transpose' | 'Reshape' | 'Flatten' | 'Squeeze' | 'Unsqueeze' | 'Concat' | 'Split' | 'Slice' | 'Pad'
  | 'BatchNormalization' | 'MaxPool' | 'AveragePool' | 'LpPool' | 'GlobalAveragePool' | 'GlobalMaxPool' | 'GlobalLpPool' | 'ConvTranspose'
  | 'GatherElements' | 'GatherND' | 'ScatterND' | 'ScatterElements' | 'Tile' | 'LSTM' | 'GRU' | 'Resize' | 'GridSample' | 'Upsample' | 'Col2Im' | 'DepthToSpace' | 'SpaceToDepth' | 'Einsum' | 'Gather' | 'Expand' | 'Where' | 'Cast' | 'Identity' | 'ReduceSum' | 'ReduceMean' | 'ReduceMax'
  | 'ReduceMin' | 'ReduceL1' | 'ReduceL2' | 'ReduceSumSquare' | 'ReduceLogSum' | 'ReduceLogSumExp' | 'ReduceProd' | 'Sum'
  | 'Mean' | 'Min' | 'Max' | 'Clip' | 'Mod' | 'LeakyRelu' | 'PRelu' | 'ThresholdedRelu' | 'Elu' | 'Selu' | 'Celu'
  | 'HardSigmoid' | 'HardSwish' | 'Mish' | 'Swish' | 'QuickGelu' | 'Softsign' | 'Shrink' | 'Tan' | 'Asin' | 'Acos' | 'Atan'
  | 'Sinh' | 'Cosh' | 'Asinh' | 'Acosh' | 'Atanh' | 'CumSum' | 'Trilu' | 'TopK' | 'Dropout' | 'RMSNormalization'
  | 'SimplifiedLayerNormalization' | 'InstanceNormalization' | 'GroupNormalization' | 'LpNormalization' | 'LRN'
  | 'MeanVarianceNormalization' | 'BiasGelu' | 'FastGelu' | 'RotaryEmbedding' | 'CastLike' | StraightThroughOp; // prettier-ignore

/** Quantization operators with the gradients of their float counterparts (straight-through). */
export type StraightThroughOp =
  | 'QuantizeLinear' | 'DequantizeLinear' | 'DynamicQuantizeLinear' | 'MatMulInteger' | 'ConvInteger' | 'MatMulNBits'
  | 'MatMulBnb4' | 'MatMulIntegerToFloat' | 'DynamicQuantizeLSTM'; // prettier-ignore

const back: Vjp = ({ dy }) => dy;
// Cotangents of integers that stand for floats are float32.
const castBack: Vjp = ({ g, dy, x: [x] }) => castTo(g, dy, isFloat(x!.type) ? x!.type : 'float32');
const reshaped: Vjp = (site, i) => reshapeLike(site.g, site.dy, input(site, i));

const lstm = recurrentRule(lstmCell, ['sigmoid', 'tanh', 'tanh']);
const quantizedLstm = quantizedRecurrent('LSTM', lstm);

// d gelu(x)/dx = Φ(x) + x·φ(x) = ½(1 + erf z) + z·exp(−z²)/√π with z = x/√2, recomputed from x: keeping erf and exp
// would cost two tensors of x's size. To save passes, HardSigmoid computes ½e + ½ (erf stays in its bounds), and 1/√π
// goes into the exponent as −ln √π.
const geluErf: Vjp = ({ g, x: [x], dy }) => {
  const z = g.Mul(x!, Math.SQRT1_2);
  const cdf = g.emit('HardSigmoid', [g.Erf(z)], { alpha: float(0.5), beta: float(0.5) });
  const bell = g.Exp(g.Sub(g.scalar(-0.5 * Math.log(Math.PI), x!.type), g.Mul(z, z)));
  return g.Mul(dy, g.Add(cdf, g.Mul(z, bell)));
};

// ½x(1 + t) with t = tanh u, u = √(2/π)·(x + 0.044715·x³) has the derivative ½(1 + t + x(1 − t²)·du/dx).
const geluTanh: Vjp = ({ g, x: [x], dy }) => {
  const [linear, cubic] = [Math.sqrt(2 / Math.PI), Math.sqrt(2 / Math.PI) * 0.044715];
  const square = g.Mul(x!, x!);
  const t = g.Tanh(g.Mul(x!, g.Add(g.Mul(square, cubic), linear)));
  const slope = g.Mul(x!, g.Add(g.Mul(square, 3 * cubic), linear));
  const rest = g.Mul(g.Sub(g.scalar(1, x!.type), g.Mul(t, t)), slope);
  return g.Mul(dy, g.Mul(g.Add(g.Add(t, 1), rest), 0.5));
};

/** The rule of an activation of x + bias, or of x alone, for both operands. */
const biased =
  (rule: Vjp): Vjp =>
  (site, i) => {
    const [x, bias] = site.x;
    return rule({ ...site, x: [bias ? site.g.Add(x!, bias) : x] }, i);
  };

const gelu: Vjp = (site, i) =>
  attributeOf(site.node, 'approximate') === 'tanh' ? geluTanh(site, i) : geluErf(site, i);

function exponent({ g, x: [x, e] }: VjpSite): Value {
  return e!.type === x!.type ? e! : g.Cast(e!, dataTypeNumber(x!.type ?? 'float32'));
}

const power: Vjp = (site) => {
  const { g, x, dy } = site;
  // Layer normalizations square, and GELUs cube: a product is many times faster than Pow.
  const known = x[1]!.ints?.length === 1 ? x[1]!.ints[0] : undefined;
  if (known === 1) return dy;
  if (known === 2) return g.Mul(dy, g.Mul(x[0]!, 2));
  if (known === 3) return g.Mul(dy, g.Mul(g.Mul(x[0]!, x[0]!), 3));
  const e = exponent(site);
  return g.Mul(dy, g.Mul(e, g.Pow(x[0]!, g.Sub(e, 1))));
};

// ∂(xᵉ)/∂e = xᵉ·ln x, and 0 where the logarithm is undefined.
const powerExponent: Vjp = ({ g, x: [x], y, dy }) => g.Mul(dy, g.Where(g.Greater(x!, 0), g.Mul(y[0]!, g.Log(x!)), 0));

/** Axes of a softmax: one, or before opset 13 all from `axis` on. */
function softmaxAxes({ g, node, x: [x] }: VjpSite): number[] {
  const axis = axisOf(node, rankOf(x!), g.opset);
  return g.opset < 13 ? axesFrom(axis, x!) : [axis];
}

// y·(dy − Σ dy·y)
const softmax: Vjp = (site) => {
  const { g, y, dy } = site;
  const axes = softmaxAxes(site);
  return g.Mul(y[0]!, g.Sub(dy, attentionDot(site, axes) ?? g.ReduceSum(g.Mul(dy, y[0]!), axes, true)));
};

/** Maximum width of an attention head; independent of the sequence length, so that all batches share one graph. */
const WIDEST_HEAD = 256;

// For attention weights y read only by o = y·v, Σⱼ dyᵢⱼ·yᵢⱼ = Σ doᵢ·oᵢ: a sum over the head width instead of the
// sequence length. https://arxiv.org/abs/2205.14135, equation 4.
function attentionDot({ g, node, context }: VjpSite, axes: readonly number[]): Value | undefined {
  // Not y, which has another name if recomputed.
  const weights = context.value(node.output![0]!);
  const reader = context.onlyReader(weights.name);
  const rank = weights.shape?.length ?? 0;
  if (
    !context.takes('sumOverHead') ||
    reader?.opType !== 'MatMul' ||
    reader.input?.[0] !== weights.name ||
    rank < 2 ||
    axes.join() !== String(rank - 1)
  )
    return undefined;
  const output = context.value(reader.output![0]!);
  const cotangent = context.cotangent(output.name);
  const width = output.shape?.at(-1);
  // Batched values would give one sum per batch.
  const sameRows = weights.shape?.slice(0, -1).join() === output.shape?.slice(0, -1).join();
  if (!cotangent || typeof width !== 'number' || width > WIDEST_HEAD || !sameRows) return undefined;
  return g.ReduceSum(g.Mul(cotangent, output), [rank - 1], true);
}

const logSoftmax: Vjp = (site) => {
  const { g, y, dy } = site;
  return g.Sub(dy, g.Mul(g.Exp(y[0]!), g.ReduceSum(dy, softmaxAxes(site), true)));
};

// The inverse rotation: negated sines, which follow the cosines in both domains.
const turnedBack: Vjp = ({ g, node, x, dy }) => {
  const sines = node.domain === CONTRIB ? 3 : 2;
  const dx = g.emit('RotaryEmbedding', [dy, ...x.slice(1)].with(sines, g.Neg(x[sines]!)), {}, node.domain);
  g.nodes.at(-1)!.attribute = [...(node.attribute ?? [])];
  return dx;
};

// prettier-ignore
/** One row per operator. */
export const gradientRules: { readonly [Op in DifferentiableOp]: GradientRule } = {
  Add:        [back, back],
  Sub:        [back, ({ g, dy }) => g.Neg(dy)],
  Mul:        [({ g, dy, x }) => g.Mul(dy, x[1]!), ({ g, dy, x }) => g.Mul(dy, x[0]!)],
  Div:        [({ g, dy, x }) => g.Div(dy, x[1]!), ({ g, dy, x, y }) => g.Neg(g.Div(g.Mul(dy, y[0]!), x[1]!))], // ∂(a/b)/∂b = −y/b
  Neg:        [({ g, dy }) => g.Neg(dy)],
  Mod:        [back, ({ g, dy, x, y }) => g.Neg(g.Mul(dy, g.Div(g.Sub(x[0]!, y[0]!), x[1]!)))], // of floats: a − b·trunc(a/b)
  Sum:        back,
  Mean:       ({ g, dy, x }) => g.Mul(dy, 1 / x.length),
  Min:        extremeOperand,
  Max:        extremeOperand,
  Clip:       [clipInput, clipLow, clipHigh],
  Abs:        [({ g, dy, x }) => g.Mul(dy, signOf(g, x[0]!))],
  Exp:        [({ g, dy, y }) => g.Mul(dy, y[0]!)],
  Log:        [({ g, dy, x }) => g.Div(dy, x[0]!)],
  // 0 at 0, as in torch.
  Sqrt:       [({ g, dy, y }) => g.Where(g.Greater(y[0]!, 0), g.Div(g.Mul(dy, 0.5), y[0]!), 0)],
  Reciprocal: [({ g, dy, y }) => g.Neg(g.Mul(dy, g.Mul(y[0]!, y[0]!)))],
  Pow:        [power, powerExponent],
  Erf:        [({ g, dy, x }) => g.Mul(dy, g.Mul(g.Exp(g.Neg(g.Mul(x[0]!, x[0]!))), 2 / Math.sqrt(Math.PI)))],
  Tanh:       [({ g, dy, y }) => g.Mul(dy, g.Sub(g.scalar(1, y[0]!.type), g.Mul(y[0]!, y[0]!)))],
  Sigmoid:    [({ g, dy, y }) => g.Mul(dy, g.Mul(y[0]!, g.Sub(g.scalar(1, y[0]!.type), y[0]!)))],
  Relu:       [({ g, dy, x }) => where(g, g.Greater(x[0]!, 0), dy)],
  Sin:        [({ g, dy, x }) => g.Mul(dy, g.Cos(x[0]!))],
  Cos:        [({ g, dy, x }) => g.Neg(g.Mul(dy, g.Sin(x[0]!)))],
  Tan:        [({ g, dy, y }) => g.Mul(dy, g.Add(g.Mul(y[0]!, y[0]!), 1))],
  Asin:       [({ g, dy, x }) => g.Div(dy, g.Sqrt(g.Sub(g.scalar(1, dy.type), g.Mul(x[0]!, x[0]!))))],
  Acos:       [({ g, dy, x }) => g.Neg(g.Div(dy, g.Sqrt(g.Sub(g.scalar(1, dy.type), g.Mul(x[0]!, x[0]!)))))],
  Atan:       [({ g, dy, x }) => g.Div(dy, g.Add(g.Mul(x[0]!, x[0]!), 1))],
  Sinh:       [({ g, dy, x }) => g.Mul(dy, g.emit('Cosh', [x[0]!]))],
  Cosh:       [({ g, dy, x }) => g.Mul(dy, g.emit('Sinh', [x[0]!]))],
  Asinh:      [({ g, dy, x }) => g.Div(dy, g.Sqrt(g.Add(g.Mul(x[0]!, x[0]!), 1)))],
  Acosh:      [({ g, dy, x }) => g.Div(dy, g.Sqrt(g.Sub(g.Mul(x[0]!, x[0]!), 1)))],
  Atanh:      [({ g, dy, x }) => g.Div(dy, g.Sub(g.scalar(1, dy.type), g.Mul(x[0]!, x[0]!)))],
  LeakyRelu:  [leakyRelu],
  PRelu:      [preluInput, preluSlope],
  ThresholdedRelu: [thresholdedRelu],
  Elu:        [elu],
  Selu:       [selu],
  Celu:       [celu],
  HardSigmoid: [hardSigmoid],
  HardSwish:  [hardSwish],
  Mish:       [mish],
  Swish:      [swish],
  QuickGelu:  [swish],
  Softsign:   [softsign],
  Shrink:     [shrink],
  Softplus:   [({ g, dy, x }) => g.Mul(dy, g.Sigmoid(x[0]!))],
  Gelu:       [gelu],
  Softmax:    [softmax],
  LogSoftmax: [logSoftmax],
  LayerNormalization: [layerNormInput, layerNormScale, layerNormBias],
  RMSNormalization: [rmsNormInput, rmsNormScale],
  SimplifiedLayerNormalization: [rmsNormInput, rmsNormScale],
  InstanceNormalization: [instanceNormInput, instanceNormScale, channelBias],
  GroupNormalization: [groupNormInput, groupNormScale, groupNormBias],
  LpNormalization: [lpNormBack],
  LRN:        [lrnBack],
  MeanVarianceNormalization: [meanVarianceBack],
  MatMul:     [matMulLeft, matMulRight],
  Gemm:       [gemmInput, gemmInput, ({ g, node, dy }) => scaled(g, dy, attributeOf(node, 'beta'))],
  Einsum:     einsumOperand,
  Conv:       [convInput, convWeight, channelBias],
  ConvTranspose: [convTransposeInput, convTransposeWeight, channelBias],
  BatchNormalization: [batchNormInput, batchNormScale, channelBias, null, null],
  MaxPool:    [maxPoolBack],
  AveragePool: [averagePoolBack],
  LpPool:     [lpPoolBack],
  GlobalAveragePool: [globalAverageBack],
  GlobalMaxPool: [globalMaxBack],
  GlobalLpPool: [globalLpBack],
  Transpose:  [transposeBack],
  Reshape:    [reshaped, null],
  Flatten:    [reshaped],
  Squeeze:    [reshaped, null],
  Unsqueeze:  [reshaped, null],
  Concat:     concatPart,
  Split:      [splitBack, null],
  Slice:      [sliceBack, null, null, null, null],
  Pad:        [padBack, null, null, null],
  Gather:     [gatherData, null],
  GatherElements: [gatherElementsData, null],
  GatherND:   [gatherNdData, null],
  ScatterND:  [scatterData, null, scatterUpdates],
  ScatterElements: [scatterData, null, scatterUpdates],
  Tile:       [tileBack, null],
  LSTM:       lstm,
  GRU:        recurrentRule(gruCell, ['sigmoid', 'tanh']).slice(0, 6),
  GridSample: [gridImage, gridPoints],
  Resize:     [resizeBack, null, null, null],
  Upsample:   [resizeBack, null],
  Col2Im:     [columnsBack, null, null],
  DepthToSpace: [depthToSpaceBack],
  SpaceToDepth: [spaceToDepthBack],
  Expand:     [expandBack, null],
  Where:      [null, ({ g, dy, x }) => where(g, x[0]!, dy), ({ g, dy, x }) => where(g, g.Not(x[0]!), dy)],
  Cast:       [castBack],
  CastLike:   [castBack, null],
  Identity:   [back],
  ReduceSum:  [reduceSumBack, null],
  ReduceMean: [reduceMeanBack, null],
  ReduceMax:  [reduceExtremeBack, null],
  ReduceMin:  [reduceExtremeBack, null],
  ReduceL1:   [reduceL1Back, null],
  ReduceL2:   [reduceL2Back, null],
  ReduceSumSquare: [reduceSumSquareBack, null],
  ReduceLogSum: [reduceLogSumBack, null],
  ReduceLogSumExp: [reduceLogSumExpBack, null],
  ReduceProd: [reduceProdBack, null],
  CumSum:     [({ g, dy, x, node }) => g.emit('CumSum', [dy, x[1]!], { exclusive: intAttribute(node, 'exclusive', 0), reverse: 1 - intAttribute(node, 'reverse', 0) }), null],
  Trilu:      [({ g, dy, x, node }) => g.emit('Trilu', [dy, x[1]], { upper: intAttribute(node, 'upper', 1) }), null],
  TopK:       [topKBack, null],
  Dropout:    [dropoutBack, null, null],
  BiasGelu:   [biased(geluErf), biased(geluErf)],
  FastGelu:   [biased(geluTanh), biased(geluTanh)],
  RotaryEmbedding: [turnedBack],
  QuantizeLinear: [quantizeBack, null, null],
  DequantizeLinear: [dequantizeBack, null, null],
  DynamicQuantizeLinear: [dynamicQuantizeBack],
  MatMulInteger: [integerProduct, integerProduct, null, null],
  ConvInteger: [integerConv, integerConv, null, null],
  MatMulNBits: [packedProduct, null, null, null, null, back],
  MatMulBnb4: [packedProduct, null, null],
  MatMulIntegerToFloat: [integerToFloat, integerToFloat, null, null, null, null, back],
  DynamicQuantizeLSTM: quantizedLstm,
};

/** The gradient rule of a node's operator, if any. */
export function ruleOf(node: NodeProto): GradientRule | undefined {
  const { opType: op = '', known } = node;
  if (known?.gradient) return known.gradient as GradientRule;
  return isKnownDomain(node) && Object.hasOwn(gradientRules, op) ? gradientRules[op as DifferentiableOp] : undefined;
}

/** Operators with rules that read the cotangents of all outputs; others may affect the loss by the first only. */
export const manyOutputOps: ReadonlySet<string> = new Set(['Split', 'LSTM', 'GRU', 'DynamicQuantizeLSTM']);

/** Operators without a useful derivative: gradients stop there. */
export const stopGradientOps: ReadonlySet<string> = new Set([
  'Shape', 'Size', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Not', 'And', 'Or', 'Xor', 'IsNaN', 'IsInf',
  'ArgMax', 'ArgMin', 'NonZero', 'Constant', 'ConstantOfShape', 'Range', 'Floor', 'Ceil', 'Round', 'Sign', 'OneHot', 'Hardmax',
  'BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot', 'EyeLike', 'RandomNormal', 'RandomUniform',
  'RandomNormalLike', 'RandomUniformLike', 'Bernoulli', 'Multinomial', 'NonMaxSuppression',
]); // prettier-ignore

function scaled(g: GraphBuilder, value: Value, factor: number): Value {
  return factor === 1 ? value : g.Mul(value, factor);
}
