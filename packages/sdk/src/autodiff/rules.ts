/**
 * @file THE gradient table: a row per operator, a small function per input.
 *
 * Broadcasting is undone by the driver, so rules are written as if shapes were equal. `dy` is the cotangent of the
 * output. To add an operator: a row here, and a row in the case table of `rules.test.ts`, which checks it numerically.
 */

import { floatAttribute, intAttribute } from '../graph/walk.ts';
import { convInput, convWeight } from './conv.ts';
import { layerNormBias, layerNormInput, layerNormScale } from './layerNorm.ts';
import { gemmInput, matMulLeft, matMulRight } from './products.ts';
import { concatPart, expandBack, gatherData, padBack, sliceBack, splitBack, transposeBack } from './movement.ts';
import { reduceMaxBack, reduceMeanBack, reduceSumBack } from './reductions.ts';
import { type GradientRule, input, reshapeLike, type Vjp } from './vjp.ts';

/** Operators with a gradient. */
export type DifferentiableOp =
  | 'Add' | 'Sub' | 'Mul' | 'Div' | 'Neg' | 'Abs' | 'Exp' | 'Log' | 'Sqrt' | 'Reciprocal' | 'Pow' | 'Erf' | 'Tanh'
  | 'Sigmoid' | 'Relu' | 'Sin' | 'Cos' | 'Softplus' | 'Gelu' | 'Softmax' | 'LogSoftmax' | 'LayerNormalization' | 'MatMul'
  | 'Gemm' | 'Conv' | 'Transpose' | 'Reshape' | 'Flatten' | 'Squeeze' | 'Unsqueeze' | 'Concat' | 'Split' | 'Slice' | 'Pad'
  | 'Gather' | 'Expand' | 'Where' | 'Cast' | 'Identity' | 'ReduceSum' | 'ReduceMean' | 'ReduceMax'; // prettier-ignore

const back: Vjp = ({ dy }) => dy;
const reshaped: Vjp = (site, i) => reshapeLike(site.g, site.dy, input(site, i));

// d gelu(x)/dx = ½(1 + erf(z)) + z·exp(−z²)/√π with z = x/√2. Recomputed from x: keeping erf and exp would cost two
// more tensors of the size of x.
const gelu: Vjp = ({ g, x: [x], dy }) => {
  const z = g.Mul(x!, Math.SQRT1_2);
  const density = g.Mul(g.Mul(z, Math.sqrt(1 / Math.PI)), g.Exp(g.Neg(g.Mul(z, z))));
  return g.Mul(dy, g.Add(g.Mul(g.Add(g.Erf(z), 1), 0.5), density));
};

const power: Vjp = ({ g, x: [x, e], dy }) => g.Mul(dy, g.Mul(e!, g.Pow(x!, g.Sub(e!, 1))));

const softmax: Vjp = ({ g, node, y: [y], dy }) => {
  const axis = intAttribute(node, 'axis', g.opset < 13 ? 1 : -1);
  // y·(dy − Σ dy·y)
  return g.Mul(y!, g.Sub(dy, g.ReduceSum(g.Mul(dy, y!), [axis], true)));
};

const logSoftmax: Vjp = ({ g, node, y: [y], dy }) => {
  const axis = intAttribute(node, 'axis', g.opset < 13 ? 1 : -1);
  return g.Sub(dy, g.Mul(g.Exp(y!), g.ReduceSum(dy, [axis], true)));
};

// prettier-ignore
/** One row per operator. */
export const gradientRules: { readonly [Op in DifferentiableOp]: GradientRule } = {
  Add:        [back, back],
  Sub:        [back, ({ g, dy }) => g.Neg(dy)],
  Mul:        [({ g, dy, x }) => g.Mul(dy, x[1]!), ({ g, dy, x }) => g.Mul(dy, x[0]!)],
  Div:        [({ g, dy, x }) => g.Div(dy, x[1]!), ({ g, dy, x, y }) => g.Neg(g.Div(g.Mul(dy, y[0]!), x[1]!))], // ∂(a/b)/∂b = −y/b
  Neg:        [({ g, dy }) => g.Neg(dy)],
  Abs:        [({ g, dy, x }) => g.Mul(dy, sign(g, x[0]!))],
  Exp:        [({ g, dy, y }) => g.Mul(dy, y[0]!)],
  Log:        [({ g, dy, x }) => g.Div(dy, x[0]!)],
  Sqrt:       [({ g, dy, y }) => g.Div(g.Mul(dy, 0.5), y[0]!)],
  Reciprocal: [({ g, dy, y }) => g.Neg(g.Mul(dy, g.Mul(y[0]!, y[0]!)))],
  Pow:        [power, null],
  Erf:        [({ g, dy, x }) => g.Mul(dy, g.Mul(g.Exp(g.Neg(g.Mul(x[0]!, x[0]!))), 2 / Math.sqrt(Math.PI)))],
  Tanh:       [({ g, dy, y }) => g.Mul(dy, g.Sub(g.scalar(1, y[0]!.type), g.Mul(y[0]!, y[0]!)))],
  Sigmoid:    [({ g, dy, y }) => g.Mul(dy, g.Mul(y[0]!, g.Sub(g.scalar(1, y[0]!.type), y[0]!)))],
  Relu:       [({ g, dy, x }) => g.Where(g.Greater(x[0]!, 0), dy, 0)],
  Sin:        [({ g, dy, x }) => g.Mul(dy, g.Cos(x[0]!))],
  Cos:        [({ g, dy, x }) => g.Neg(g.Mul(dy, g.Sin(x[0]!)))],
  Softplus:   [({ g, dy, x }) => g.Mul(dy, g.Sigmoid(x[0]!))],
  Gelu:       [gelu],
  Softmax:    [softmax],
  LogSoftmax: [logSoftmax],
  LayerNormalization: [layerNormInput, layerNormScale, layerNormBias],
  MatMul:     [matMulLeft, matMulRight],
  Gemm:       [gemmInput, gemmInput, ({ g, node, dy }) => scaled(g, dy, floatAttribute(node, 'beta', 1))],
  Conv:       [convInput, convWeight, ({ g, dy }) => g.ReduceSum(dy, dy.shape!.map((_, i) => i).filter((i) => i !== 1), false)],
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
  Expand:     [expandBack, null],
  Where:      [null, ({ g, dy, x }) => g.Where(x[0]!, dy, 0), ({ g, dy, x }) => g.Where(x[0]!, 0, dy)],
  Cast:       [({ g, dy, x }) => g.Cast(dy, x[0]!.type === 'float16' ? 10 : x[0]!.type === 'float64' ? 11 : 1)],
  Identity:   [back],
  ReduceSum:  [reduceSumBack, null],
  ReduceMean: [reduceMeanBack, null],
  ReduceMax:  [reduceMaxBack, null],
};

/** Operators whose outputs do not change smoothly with their inputs: a gradient ends there. */
export const stopGradientOps: ReadonlySet<string> = new Set([
  'Shape', 'Size', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Not', 'And', 'Or', 'Xor', 'IsNaN', 'IsInf',
  'ArgMax', 'ArgMin', 'NonZero', 'Constant', 'ConstantOfShape', 'Range', 'Floor', 'Ceil', 'Round', 'Sign', 'OneHot', 'Mod',
]); // prettier-ignore

function sign(g: Parameters<Vjp>[0]['g'], x: NonNullable<Parameters<Vjp>[0]['x'][number]>): ReturnType<Vjp> {
  return g.Where(g.Greater(x, 0), g.scalar(1, x.type), g.Where(g.Less(x, 0), g.scalar(-1, x.type), 0));
}

function scaled(g: Parameters<Vjp>[0]['g'], value: ReturnType<Vjp>, factor: number): ReturnType<Vjp> {
  return factor === 1 ? value : g.Mul(value, factor);
}
