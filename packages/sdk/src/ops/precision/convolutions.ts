/** @file A convolution over one axis as a product: what each window reads lies side by side, and the weights are a matrix. */

import { dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { givenWindow } from '../inference/windows.ts';
import { attributeOf } from '../schema.ts';

/** Windows along the last axis of `[batch, channels, length]`. */
export interface Windows {
  /** Positions that one has. */
  readonly kernel: number;
  /** Positions from one to the next. */
  readonly stride: number;
  /** Positions from one that it has to the next. */
  readonly dilation: number;
  /** Zeros before and behind. */
  readonly pads: readonly [before: number, behind: number];
}

/** What windows have side by side is as many times what they read. */
const MOST_POSITIONS = 16;

/** The windows of a convolution with a weight `[out, channels, kernel]`; undefined of one that is no single product. */
export function windowsOf(node: NodeProto, weight: TensorProto): Windows | undefined {
  const [, , kernel = 0, ...more] = weight.dims ?? [];
  const { strides, dilations, pads, auto } = givenWindow(node, 1);
  const isPlain = attributeOf(node, 'group') === 1 && !auto.startsWith('SAME');
  if (!isPlain || kernel < 1 || kernel > MOST_POSITIONS || more.length > 0) return undefined;
  return { kernel, stride: strides[0]!, dilation: dilations[0]!, pads: [pads[0]!, pads[1]!] };
}

/** x `[batch, channels, length]` with the zeros of its windows around it. */
export function padded(g: GraphBuilder, x: Value, { pads: [before, behind] }: Windows): Value {
  return before === 0 && behind === 0 ? x : g.Pad(x, [0, 0, before, 0, 0, behind]);
}

/** The first opset whose QuantizeLinear has a scale for each row. */
export const SCALED_ROWS = 13;

/** What stands for `(integers − zeros) · steps`. */
interface RoundedExamples {
  /** uint8 `[batch, channels, length]`. */
  readonly integers: Value;
  /** float32 `[batch, 1, 1]`. */
  readonly steps: Value;
  /** Whole numbers that stand for zero, float32 `[batch, 1, 1]`. */
  readonly zeros: Value;
}

/**
 * Each example of x `[batch, channels, length]` in 255 steps of its range, as integers of eight bits: much of what is convolved has
 * passed a GELU, and hardly anything of it is below zero. What an example becomes depends on no other.
 */
export function roundedExamples(g: GraphBuilder, x: Value): RoundedExamples {
  const [most, least] = [g.Max(g.ReduceMax(x, [1, 2], false), 0), g.Min(g.ReduceMin(x, [1, 2], false), 0)];
  // Not exactly zero, so that examples of zeros stay zeros.
  const scales = g.Max(g.Mul(g.Sub(most, least), 1 / 255), 1e-30);
  const places = g.emit('Round', [g.Neg(g.Div(least, scales))]);
  const [steps, zeros] = [g.Unsqueeze(scales, [1, 2]), g.Unsqueeze(places, [1, 2])];
  const integers =
    g.opset < SCALED_ROWS
      ? g.emit('QuantizeLinear', [g.Add(g.Div(x, steps), zeros), g.scalar(1), g.scalar(0, 'uint8')])
      : g.emit('QuantizeLinear', [x, scales, g.Cast(places, dataTypeNumber('uint8'))], { axis: 0 });
  return { integers, steps, zeros };
}

/** What each window of x `[batch, channels, length]` has, position by position: `[batch, windows, kernel · channels]`. */
export function sideBySide(g: GraphBuilder, x: Value, { kernel, stride, dilation }: Windows): Value {
  const last = g.Transpose(x, [0, 2, 1]);
  const positions = Array.from({ length: kernel }, (_, i) => {
    const left = (kernel - 1 - i) * dilation;
    return g.Slice(last, [i * dilation], [left === 0 ? END : -left], [1], [stride]);
  });
  return kernel === 1 ? positions[0]! : g.Concat(positions, 2);
}

const END = 2 ** 31 - 1;

/** A weight `[out, channels, kernel]` as the matrix `[out, kernel · channels]`, computed when it is read. */
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

/** One for each weight, so that it is rounded once for all graphs. */
const matrices = new WeakMap<TensorProto, TensorProto>();
