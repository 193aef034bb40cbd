/** @file One-dimensional convolutions as matrix products (im2col). */

import { dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { givenWindow } from '../inference/windows.ts';
import { attributeOf } from '../schema.ts';

/** Windows along the last axis of `[batch, channels, length]`. */
export interface Windows {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Padding at both ends. */
  readonly pads: readonly [before: number, behind: number];
}

/** Largest kernel: im2col multiplies the memory of the input by it. */
const MOST_POSITIONS = 16;

/** Windows of a convolution with a weight `[out, channels, kernel]`; undefined if it is no single product. */
export function windowsOf(node: NodeProto, weight: TensorProto): Windows | undefined {
  const [, , kernel = 0, ...more] = weight.dims ?? [];
  const { strides, dilations, pads, auto } = givenWindow(node, 1);
  const isPlain = attributeOf(node, 'group') === 1 && !auto.startsWith('SAME');
  if (!isPlain || kernel < 1 || kernel > MOST_POSITIONS || more.length > 0) return undefined;
  return { kernel, stride: strides[0]!, dilation: dilations[0]!, pads: [pads[0]!, pads[1]!] };
}

/** x `[batch, channels, length]` with its padding. */
export function padded(g: GraphBuilder, x: Value, { pads: [before, behind] }: Windows): Value {
  return before === 0 && behind === 0 ? x : g.Pad(x, [0, 0, before, 0, 0, behind]);
}

/** First opset in which QuantizeLinear has a scale per row. */
export const SCALED_ROWS = 13;

/** `(integers − zeros) · steps`. */
interface RoundedExamples {
  /** uint8 `[batch, channels, length]`. */
  readonly integers: Value;
  /** float32 `[batch, 1, 1]`. */
  readonly steps: Value;
  /** Zero points as float32 `[batch, 1, 1]`. */
  readonly zeros: Value;
}

/**
 * Quantizes each example of x to uint8 by its own range; asymmetric, since outputs of GELU have few negative values.
 */
export function roundedExamples(g: GraphBuilder, x: Value): RoundedExamples {
  const [most, least] = [g.Max(g.ReduceMax(x, [1, 2], false), 0), g.Min(g.ReduceMin(x, [1, 2], false), 0)];
  // Avoids division by zero for examples of zeros.
  const scales = g.Max(g.Mul(g.Sub(most, least), 1 / 255), 1e-30);
  const places = g.emit('Round', [g.Neg(g.Div(least, scales))]);
  const [steps, zeros] = [g.Unsqueeze(scales, [1, 2]), g.Unsqueeze(places, [1, 2])];
  const integers =
    g.opset < SCALED_ROWS
      ? g.emit('QuantizeLinear', [g.Add(g.Div(x, steps), zeros), g.scalar(1), g.scalar(0, 'uint8')])
      : g.emit('QuantizeLinear', [x, scales, g.Cast(places, dataTypeNumber('uint8'))], { axis: 0 });
  return { integers, steps, zeros };
}

/** im2col of x `[batch, channels, length]`: `[batch, windows, kernel · channels]`. */
export function im2col(g: GraphBuilder, x: Value, { kernel, stride, dilation }: Windows): Value {
  const last = g.Transpose(x, [0, 2, 1]);
  const positions = Array.from({ length: kernel }, (_, i) => {
    const left = (kernel - 1 - i) * dilation;
    return g.Slice(last, [i * dilation], [left === 0 ? END : -left], [1], [stride]);
  });
  return kernel === 1 ? positions[0]! : g.Concat(positions, 2);
}

const END = 2 ** 31 - 1;

/** A weight `[out, channels, kernel]` as the matrix `[out, kernel · channels]`, computed on read. */
export function kernelMatrix(weight: TensorProto): TensorProto {
  const known = matrices.get(weight);
  if (known) return known;
  const [out, channels, kernel] = weight.dims as [number, number, number];
  const compute = (): Uint8Array => {
    const floats = readFloats(weight);
    const matrix = new Float32Array(floats.length);
    let at = 0;
    for (let row = 0; row < out; row++) {
      for (let position = 0; position < kernel; position++)
        for (let channel = 0; channel < channels; channel++)
          matrix[at++] = floats[(row * channels + channel) * kernel + position]!;
    }
    return new Uint8Array(matrix.buffer);
  };
  const dims = [out, kernel * channels];
  const matrix = { name: weight.name!, dims, dataType: dataTypeNumber('float32'), rawData: { length: 4 * sizeOf(dims), compute } }; // prettier-ignore
  matrices.set(weight, matrix);
  return matrix;
}

/** Shared by all graphs, so that each weight is rounded once. */
const matrices = new WeakMap<TensorProto, TensorProto>();
