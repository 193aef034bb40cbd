/** @file Sliding windows over images `[batch, channels, …]`, and sums over overlapping windows. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { givenWindow } from '../../ops/inference/windows.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import { castTo, eye, staticShape, stretch } from '../vjp.ts';
import { attributeOf } from '../../ops/schema.ts';

/** Geometry of a sliding window. */
export interface Window {
  /** Spatial sizes. */
  readonly kernel: readonly number[];
  /** Stride per spatial dimension. */
  readonly strides: readonly number[];
  /** Dilation per spatial dimension. */
  readonly dilations: readonly number[];
  /** All begins, then all ends. */
  readonly pads: readonly number[];
  /** Groups of channels, as in Conv. */
  readonly group: number;
}

/** The window of a convolution or pooling with this kernel over an image of these spatial sizes. */
export function windowOf(node: NodeProto, image: readonly number[], kernel: readonly number[]): Window {
  const { strides, dilations, pads: given, auto } = givenWindow(node, kernel.length);
  let pads = given;
  if (auto.startsWith('SAME')) {
    const total = image.map((size, i) =>
      Math.max(0, (Math.ceil(size / strides[i]!) - 1) * strides[i]! + reach(kernel[i]!, dilations[i]!) - size),
    );
    const less = total.map((each) => Math.floor(each / 2));
    const more = total.map((each) => Math.ceil(each / 2));
    pads = auto === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less];
  }
  return { kernel, strides, dilations, pads, group: attributeOf(node, 'group') };
}

/** One-hot kernels per window position: with them Conv extracts that position. */
export function positionKernels(g: GraphBuilder, window: readonly number[], type: Value['type']): Value {
  const count = sizeOf(window);
  return castTo(g, g.constant(float32(eye(count), [count, 1, ...window])), type);
}

/** Positions that a dilated window spans. */
export function reach(kernel: number, dilation: number): number {
  return dilation * (kernel - 1) + 1;
}

/**
 * The transpose of a convolution: adds up windows where they overlap.
 * @param dy `[batch, M, …]`, a position per window
 * @param weight `[M, C / group, …]`
 * @param image spatial sizes of the result `[batch, C, …]`
 */
export function scatterWindows(
  g: GraphBuilder,
  dy: Value,
  weight: Value,
  window: Window,
  image: readonly number[],
): Value {
  const { kernel, strides, dilations, pads, group } = window;
  const n = kernel.length;
  // The remainder or overhang of the last window.
  const rest = staticShape(dy)
    .slice(2)
    .map((count, i) => image[i]! + pads[i]! - ((count - 1) * strides[i]! + reach(kernel[i]!, dilations[i]!)));
  if (n <= 2 && !isBetterTurned(staticShape(dy), staticShape(weight), window)) {
    return g.emit('ConvTranspose', [dy, weight], {
      strides,
      dilations,
      pads: [...pads.slice(0, n), ...rest.map((size) => Math.max(0, -size))],
      output_padding: rest.map((size) => Math.max(0, size)),
      group,
    });
  }
  // Equivalent Conv: flipped kernel over dy with zeros inserted.
  let spaced = dy;
  strides.forEach((stride, i) => (spaced = stretch(g, spaced, i + 2, stride)));
  const before = kernel.map((size, i) => reach(size, dilations[i]!) - 1 - pads[i]!);
  const after = kernel.map((size, i) => reach(size, dilations[i]!) - 1 + rest[i]!);
  const padded = [...before, ...after].every((pad) => pad === 0)
    ? spaced
    : g.Pad(spaced, [0, 0, ...before, 0, 0, ...after]);
  const [m, c] = staticShape(weight) as [number, number];
  const positions = sizeOf(kernel);
  const swapped = g.Transpose(g.Reshape(weight, [group, m / group, c, positions]), [0, 2, 1, 3]);
  const backwards = g.ints(Array.from({ length: positions }, (_, i) => positions - 1 - i));
  const turned = g.Reshape(g.Gather(swapped, backwards, 3), [group * c, m / group, ...kernel]);
  return g.emit('Conv', [padded, turned], { dilations, group });
}

/**
 * Conv is faster on the CPU: by a fifth, with groups by a multiple; but it copies the weight and enlarges dy with
 * zeros. WebGPU's ConvTranspose lacks three axes, and is wrong for several filters per single-channel group.
 */
function isBetterTurned(dy: readonly number[], weight: readonly number[], { strides, group }: Window): boolean {
  const [m, c] = weight as [number, number];
  if (group > 1 && c === 1 && m > group) return true;
  return strides.every((stride) => stride === 1) && (group > 1 || sizeOf(weight) <= sizeOf(dy));
}
