/** @file Decompositions of operators without float64 kernels in ONNX Runtime. */

import type { Tensor } from '@onnx-lora/sdk';
import { type GraphBuilder, type Value, sizeOf } from '@onnx-lora/sdk/tasks';
import type { NodeProto, ValueType } from '@onnx-lora/sdk/plugin';
import { windowOf, isStatic, floatAttribute, intAttribute, intsAttribute, stringAttribute } from '@onnx-lora/sdk/core';

/** Points of the quadrature, for an error below 1e-13. */
const POINTS = 32;

/** Beyond it, erf is 1 to the last digit. */
const LARGEST = 6;

/** erf as `2x ÷ √π · ∫₀¹ exp(−x²t²) dt`, by Gauss-Legendre quadrature. */
export function erfFloat64(g: GraphBuilder, x: Value): Value {
  const { nodes, weights } = gaussLegendre(POINTS);
  const bounded = g.Max(g.Min(x, LARGEST), -LARGEST);
  const squares = g.constant(float64(nodes.map((t) => -t * t), [1, POINTS])); // prettier-ignore
  const column = g.constant(float64(weights.map((w) => (2 * w) / Math.sqrt(Math.PI)), [POINTS, 1])); // prettier-ignore
  const flat = g.Reshape(bounded, [-1, 1]);
  const integral = g.MatMul(g.Exp(g.Mul(g.Mul(flat, flat), squares)), column);
  return g.Mul(bounded, g.Reshape(integral, g.Shape(x)));
}

/** Nodes and weights on [0, 1]: roots of the Legendre polynomial of degree n, by Newton's method. */
function gaussLegendre(n: number): { readonly nodes: readonly number[]; readonly weights: readonly number[] } {
  const nodes: number[] = [];
  const weights: number[] = [];
  for (let k = 1; k <= n; k++) {
    let x = Math.cos((Math.PI * (k - 0.25)) / (n + 0.5));
    let slope = 1;
    for (let round = 0; round < 10; round++) {
      let [before, value] = [1, x];
      for (let degree = 2; degree <= n; degree++)
        [before, value] = [value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree];
      slope = (n * (x * value - before)) / (x * x - 1);
      x -= value / slope;
    }
    nodes.push((1 + x) / 2);
    weights.push(1 / ((1 - x * x) * slope * slope));
  }
  return { nodes, weights };
}

function float64(values: readonly number[], dims: readonly number[]): Tensor {
  return { type: 'float64', dims, data: Float64Array.from(values) };
}

/** Decomposes a node into its first output, of this shape; undefined for unsupported variants. */
type Form = (
  g: GraphBuilder,
  node: NodeProto,
  inputs: readonly (Value | undefined)[],
  shape: ValueType['shape'],
) => Value | undefined;

const forms: Readonly<Record<string, Form>> = {
  Erf: (g, _, [x]) => x && erfFloat64(g, x),
  Atan: (g, _, [x]) => x && arctangent(g, x),
  Conv: (g, node, [x, w, b]) => x && w && convolution(g, node, x, w, b),
  ConvTranspose: (g, node, [x, w, b]) => x && w && tiles(g, node, x, w, b),
  AveragePool: (g, node, [x]) => x && average(g, node, x),
  InstanceNormalization: (g, node, [x, scale, shift]) => x && scale && shift && normalized(g, node, x, scale, shift),
  Resize: (g, node, [x], shape) => x && repeated(g, node, x, shape),
  HardSigmoid: (g, node, [x]) =>
    x && g.emit('Clip', [g.Add(g.Mul(x, floatAttribute(node, 'alpha', 0.2)), floatAttribute(node, 'beta', 0.5)), g.scalar(0, 'float64'), g.scalar(1, 'float64')]), // prettier-ignore
  // Written as Sigmoid, ONNX Runtime would fuse x · σ(x) into an operator without a float64 kernel.
  Sigmoid: (g, _, [x]) => x && g.Reciprocal(g.Add(g.Exp(g.Neg(x)), 1)),
  // max(x, 0) + ln(1 + e^−|x|)
  Softplus: (g, _, [x]) => x && g.Add(g.Max(x, 0), g.Log(g.Add(g.Exp(g.Neg(g.Abs(x))), 1))),
  GlobalAveragePool: (g, _, [x]) =>
    x?.shape &&
    g.ReduceMean(
      x,
      x.shape.slice(2).map((__, i) => i + 2),
      true,
    ),
};

/** The decomposition of a node's operator, if it needs one. */
export function float64Form({ opType = '', domain = '' }: NodeProto): Form | undefined {
  return domain === '' && Object.hasOwn(forms, opType) ? forms[opType] : undefined;
}

/** `atan x = 2 atan(x / (1 + √(1 + x²)))`, three times, then `x − x³/3 + x⁵/5 …` below tan π/16: 16 digits. */
function arctangent(g: GraphBuilder, x: Value): Value {
  const half = (y: Value): Value => g.Div(y, g.Add(g.Sqrt(g.Add(g.Mul(y, y), 1)), 1));
  const small = half(half(half(x)));
  const square = g.Mul(small, small);
  let series = g.Mul(square, 0);
  for (let k = 12; k >= 0; k--) series = g.Add(g.Mul(series, square), (k % 2 === 0 ? 1 : -1) / (2 * k + 1));
  return g.Mul(g.Mul(series, small), 8);
}

/** im2col: the windows as columns, times the kernel as a matrix, per group. */
function convolution(g: GraphBuilder, node: NodeProto, x: Value, w: Value, b: Value | undefined): Value | undefined {
  if (!isStatic(x.shape) || !isStatic(w.shape) || g.opset < 11) return undefined;
  const [batch, , ...image] = x.shape as [number, number, ...number[]];
  const [filters, own, ...kernel] = w.shape as [number, number, ...number[]];
  const { strides, dilations, pads, group } = windowOf(node, image, kernel);
  const rank = kernel.length;
  const counts = image.map((size, i) => {
    const free = size + pads[i]! + pads[rank + i]! - (kernel[i]! - 1) * dilations[i]! - 1;
    return Math.floor(free / strides[i]!) + 1;
  });
  const [points, positions] = [sizeOf(counts), sizeOf(kernel)];
  const padded = pads.every((pad) => pad === 0)
    ? x
    : g.Pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)]);
  const axes = kernel.map((_, i) => i + 2);
  const columns = Array.from({ length: positions }, (_, position) => {
    const at = kernel.map((size, i) => dilations[i]! * (Math.floor(position / sizeOf(kernel.slice(i + 1))) % size));
    const ends = at.map((start, i) => start + (counts[i]! - 1) * strides[i]! + 1);
    return g.Reshape(g.Slice(padded, at, ends, axes, strides), [batch, group, own, 1, points]);
  });
  const read = g.Reshape(g.Concat(columns, 3), [batch, group, own * positions, points]);
  const matrix = g.Reshape(w, [1, group, filters / group, own * positions]);
  const product = g.Reshape(g.MatMul(matrix, read), [batch, filters, ...counts]);
  return b ? g.Add(product, g.Reshape(b, [filters, ...kernel.map(() => 1)])) : product;
}

/** Average pooling without padding: a depthwise convolution. */
function average(g: GraphBuilder, node: NodeProto, x: Value): Value | undefined {
  const kernel = intsAttribute(node, 'kernel_shape') ?? [];
  if (!isStatic(x.shape) || intAttribute(node, 'ceil_mode', 0) !== 0) return undefined;
  const [batch, channels, ...image] = x.shape as [number, number, ...number[]];
  if (windowOf(node, image, kernel).pads.some((pad) => pad !== 0)) return undefined;
  const size = sizeOf(kernel);
  const mean = g.constant({ type: 'float64', dims: [1, 1, ...kernel], data: new Float64Array(size).fill(1 / size) });
  const y = convolution(g, node, g.Reshape(x, [batch * channels, 1, ...image]), mean, undefined);
  return y && g.Reshape(y, [batch, channels, ...(y.shape as number[]).slice(2)]);
}

/** A transposed convolution with stride equal to the kernel size: each point becomes a tile. */
function tiles(g: GraphBuilder, node: NodeProto, x: Value, w: Value, b: Value | undefined): Value | undefined {
  if (!isStatic(x.shape) || !isStatic(w.shape) || w.shape.length !== 4) return undefined;
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [, filters, ...kernel] = w.shape as [number, number, number, number];
  const { strides, pads, group } = windowOf(node, [height, width], kernel);
  const isTiled = strides.join() === kernel.join() && pads.every((pad) => pad === 0);
  const more = [...(intsAttribute(node, 'output_padding') ?? []), ...(intsAttribute(node, 'output_shape') ?? [])];
  if (!isTiled || group !== 1 || more.some((size) => size !== 0)) return undefined;
  const matrix = g.Transpose(g.Reshape(w, [channels, filters * sizeOf(kernel)]), [1, 0]);
  const points = g.MatMul(matrix, g.Reshape(x, [batch, channels, height * width]));
  const apart = g.Transpose(g.Reshape(points, [batch, filters, ...kernel, height, width]), [0, 1, 4, 2, 5, 3]);
  const y = g.Reshape(apart, [batch, filters, height * kernel[0]!, width * kernel[1]!]);
  return b ? g.Add(y, g.Reshape(b, [filters, 1, 1])) : y;
}

/** Nearest-neighbour Resize by integer factors: repeats each point. */
function repeated(g: GraphBuilder, node: NodeProto, x: Value, shape: ValueType['shape']): Value | undefined {
  const isNearest =
    stringAttribute(node, 'mode', 'nearest') === 'nearest' &&
    stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel') === 'asymmetric' &&
    stringAttribute(node, 'nearest_mode', 'round_prefer_floor') === 'floor';
  if (!isNearest || !isStatic(x.shape) || !isStatic(shape)) return undefined;
  const from = x.shape as readonly number[];
  const factors = from.map((each, i) => (shape as readonly number[])[i]! / each);
  if (!factors.every(Number.isInteger)) return undefined;
  const apart = g.Reshape(x, from.flatMap((each) => [each, 1])); // prettier-ignore
  const repeats = g.ints(from.flatMap((each, i) => [each, factors[i]!])); // prettier-ignore
  return g.Reshape(g.emit('Expand', [apart, repeats]), [...(shape as readonly number[])]);
}

/** Normalises each channel of each image; x's rank must be known. */
function normalized(g: GraphBuilder, node: NodeProto, x: Value, scale: Value, shift: Value): Value | undefined {
  const rank = x.shape?.length;
  if (rank === undefined) return undefined;
  const places = Array.from({ length: rank - 2 }, (_, i) => i + 2);
  const ofChannel = (each: Value): Value => g.Unsqueeze(each, places.map((axis) => axis - 1)); // prettier-ignore
  const centred = g.Sub(x, g.ReduceMean(x, places, true));
  const variance = g.ReduceMean(g.Mul(centred, centred), places, true);
  const normed = g.Div(centred, g.Sqrt(g.Add(variance, floatAttribute(node, 'epsilon', 1e-5))));
  return g.Add(g.Mul(normed, ofChannel(scale)), ofChannel(shift));
}
