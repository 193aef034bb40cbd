/** @file Gradients of Conv and ConvTranspose with any kernel, stride, padding, dilation and groups. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { input, staticShape, type Vjp, type VjpSite } from '../vjp.ts';
import { reach, scatterWindows, type Window, windowOf } from './window.ts';
import { attributeOf } from '../../ops/schema.ts';

function convWindow(site: VjpSite): Window {
  const [x, w] = [staticShape(input(site, 0)), staticShape(input(site, 1))];
  return windowOf(site.node, x.slice(2), w.slice(2));
}

/** dx = ConvTranspose(dy, w). */
export const convInput: Vjp = (site) => {
  const image = staticShape(input(site, 0)).slice(2);
  return scatterWindows(site.g, site.dy, input(site, 1), convWindow(site), image);
};

/** dw per output channel: products of dy with the windows' inputs. */
export const convWeight: Vjp = (site) => kernelGradient(site.g, input(site, 0), site.dy, convWindow(site));

/** dx = Conv(dy, w): a transposed convolution is the transpose of one over its result. */
export const convTransposeInput: Vjp = (site) => {
  const { dy, window } = transposed(site);
  const { strides, dilations, pads, group } = window;
  return site.g.emit('Conv', [dy, input(site, 1)], { strides, dilations, pads, group });
};

/** As for Conv, with x and dy exchanged. */
export const convTransposeWeight: Vjp = (site) => {
  const { dy, window } = transposed(site);
  return kernelGradient(site.g, dy, input(site, 0), window);
};

/** The convolution that a ConvTranspose transposes, over the part of dy that its windows reach. */
function transposed(site: VjpSite): { dy: Value; window: Window } {
  const { g, node } = site;
  const [x, w, y] = [input(site, 0), input(site, 1), site.dy].map((value) => staticShape(value).slice(2));
  const window = windowOf(node, y!, w!);
  const full = x!.map((count, i) => (count - 1) * window.strides[i]! + reach(window.kernel[i]!, window.dilations[i]!));
  const before = beginsOf(node, window, full, y!);
  // The fitting end: dy may extend past the last window, as with output padding.
  const after = full.map((size, i) => size - before[i]! - y![i]!);
  const reached = after.map((pad, i) => y![i]! + Math.min(0, pad));
  const cut = reached.every((size, i) => size === y![i])
    ? site.dy
    : g.Slice(
        site.dy,
        reached.map(() => 0),
        reached,
        reached.map((_, i) => i + 2),
      );
  const pads = [...before, ...after.map((pad) => Math.max(0, pad))];
  return { dy: cut, window: { ...window, pads } };
}

/** Number of elements cropped at the start of the full result `[…]`. */
function beginsOf(node: NodeProto, window: Window, full: readonly number[], result: readonly number[]): number[] {
  const auto = attributeOf(node, 'auto_pad');
  const isGiven = intsAttribute(node, 'output_shape') !== undefined;
  if (!isGiven && !auto.startsWith('SAME')) return window.pads.slice(0, full.length);
  const extra = intsAttribute(node, 'output_padding');
  return full.map((size, i) => {
    const total = Math.max(0, size + (extra?.[i] ?? 0) - result[i]!);
    return auto === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
  });
}

/** The gradient of a kernel `[M, C / group, …]` with input `image` `[N, C, …]` and output `small` `[N, M, …]`. */
function kernelGradient(g: GraphBuilder, image: Value, small: Value, window: Window): Value {
  const { kernel, strides, group } = window;
  const positions = sizeOf(kernel);
  const channels = staticShape(image)[1]!;
  // On the CPU, up to 3 × 3 with many channels, a product per position takes a third of the time.
  const isFew = group === 1 && (positions === 1 || (positions <= 9 && channels >= 16));
  // Slice has steps since opset 10.
  const isFewProducts = isFew && (g.opset >= 10 || strides.every((stride) => stride === 1));
  return isFewProducts ? byPositions(g, image, small, window) : byConvolution(g, image, small, window);
}

/** One product per kernel position: `small` with the windows' elements there. */
function byPositions(g: GraphBuilder, image: Value, small: Value, window: Window): Value {
  const { kernel, strides, dilations, pads } = window;
  const [batch, channels, ...sizes] = staticShape(image) as [number, number, ...number[]];
  const [, filters, ...counts] = staticShape(small) as [number, number, ...number[]];
  const points = sizeOf(counts);
  const before = pads.slice(0, kernel.length);
  const after = counts.map((count, i) => {
    const end = (count - 1) * strides[i]! + reach(kernel[i]!, dilations[i]!);
    return Math.max(0, end - before[i]! - sizes[i]!);
  });
  const around = [0, 0, ...before, 0, 0, ...after];
  const padded = around.every((pad) => pad === 0) ? image : g.Pad(image, around);
  const axes = kernel.map((_, i) => i + 2);
  const rows = g.Reshape(small, batch === 1 ? [filters, points] : [batch, filters, points]);
  const products = Array.from({ length: sizeOf(kernel) }, (_, position) => {
    const at = kernel.map((size, i) => dilations[i]! * (Math.floor(position / sizeOf(kernel.slice(i + 1))) % size));
    const ends = at.map((start, i) => start + (counts[i]! - 1) * strides[i]! + 1);
    const isWhole = at.every((start, i) => start === 0 && ends[i] === staticShape(padded)[i + 2] && strides[i] === 1);
    const read = isWhole ? padded : g.Slice(padded, at, ends, axes, strides.some((stride) => stride > 1) ? strides : undefined); // prettier-ignore
    if (batch === 1) return g.Gemm(rows, g.Reshape(read, [channels, points]), undefined, { transB: true });
    const columns = g.Transpose(g.Reshape(read, [batch, channels, points]), [0, 2, 1]);
    return g.ReduceSum(g.MatMul(rows, columns), [0], false);
  });
  const shape = [filters, channels, ...kernel];
  if (products.length === 1) return g.Reshape(products[0]!, shape);
  const last = products.map((each) => g.Unsqueeze(each, [2]));
  return g.Reshape(g.Concat(last, 2), shape);
}

/** As a convolution of `[C / group, group · N, …]` with the kernel `[M, N, …]`, stride and dilation exchanged. */
function byConvolution(g: GraphBuilder, image: Value, small: Value, window: Window): Value {
  const { kernel, strides, dilations, pads, group } = window;
  const [batch, channels, ...sizes] = staticShape(image) as [number, number, ...number[]];
  const axes = kernel.map((_, i) => i);
  const grouped = g.Reshape(image, [batch, group, channels / group, ...sizes]);
  const moved = g.Transpose(grouped, [2, 1, 0, ...axes.map((i) => i + 3)]);
  const images = g.Reshape(moved, [channels / group, group * batch, ...sizes]);
  const filter = g.Transpose(small, [1, 0, ...axes.map((i) => i + 2)]);
  const summed = g.emit('Conv', [images, filter], { strides: dilations, dilations: strides, pads, group });
  const swapped = g.Transpose(summed, [1, 0, ...axes.map((i) => i + 2)]);
  // Image rows that no window reaches make the result larger than the kernel.
  const isExact = staticShape(swapped).slice(2).every((size, i) => size === kernel[i]); // prettier-ignore
  return isExact
    ? swapped
    : g.Slice(
        swapped,
        kernel.map(() => 0),
        kernel,
        axes.map((i) => i + 2),
      );
}
