/** @file Gradients of pooling over windows and whole images. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { intAttribute, intsAttribute } from '../../graph/walk.ts';
import { float32, sizeOf, tensor } from '../../runtime/tensor.ts';
import { isEqual, signOf } from '../comparisons.ts';
import { castTo, input, staticShape, type Vjp, type VjpSite, where } from '../vjp.ts';
import { positionKernels, reach, scatterWindows, type Window, windowOf } from './window.ts';
import { attributeOf } from '../../ops/schema.ts';

/** Lowest finite float32 and float16: padding that is never a maximum, and zero in a product with 0 (unlike −∞). */
const [LOWEST, LOWEST_HALF] = [-(2 ** 128 - 2 ** 104), -65504];

/** dy spread evenly over the averaged positions. */
export const globalAverageBack: Vjp = (site) => {
  const { g, dy } = site;
  const shape = staticShape(input(site, 0));
  return g.Expand(g.Mul(dy, 1 / sizeOf(shape.slice(2))), shape);
};

/** dy at the maximum; the first of ties, as in torch. */
export const globalMaxBack: Vjp = (site) => {
  const { g, dy } = site;
  const shape = staticShape(input(site, 0));
  const [batch, channels, ...sizes] = shape as [number, number, ...number[]];
  const flat = g.Reshape(input(site, 0), [batch, channels, sizeOf(sizes)]);
  const at = g.Cast(g.emit('ArgMax', [flat], { axis: 2, keepdims: 1 }), dataTypeNumber('int32'));
  const isThere = g.Equal(at, counting(g, [sizeOf(sizes)]));
  return g.Reshape(where(g, isThere, g.Reshape(dy, [batch, channels, 1])), shape);
};

/** (Σ |x|ᵖ)^¹⁄ₚ has the gradient sign(x)·(|x| ÷ y)^(p−1), and 0 where all is 0. */
export const globalLpBack: Vjp = (site) => lpPart(site, site.dy, (each) => each);

/** As over the whole image, summed over windows. */
export const lpPoolBack: Vjp = (site) => {
  const window = poolWindow(site);
  return lpPart(site, site.dy, (each) => spread(site, each, window));
};

/** @param put spreads one number per window over its positions; broadcasting for a whole image */
function lpPart(site: VjpSite, dy: Value, put: (value: Value) => Value): Value {
  const { g, node, y } = site;
  const [x, p] = [input(site, 0), attributeOf(node, 'p')];
  if (p === 1) return g.Mul(put(dy), signOf(g, x));
  // Where y is 0, so is x: add 1 to avoid a division by zero.
  const safe = g.Add(y[0]!, castTo(g, isEqual(g, y[0]!, g.scalar(0, x.type)), x.type));
  const factor = put(g.Div(dy, p === 2 ? safe : g.Pow(safe, p - 1)));
  if (p === 2) return g.Mul(factor, x);
  return g.Mul(factor, g.Mul(signOf(g, x), g.Pow(g.Abs(x), p - 1)));
}

/** dy divided by the number of averaged positions, spread over them. */
export const averagePoolBack: Vjp = (site) => {
  const { g, dy } = site;
  const window = poolWindow(site);
  const windows = staticShape(dy).slice(2);
  const counts = windows.map((count, axis) => Array.from({ length: count }, (_, i) => averaged(site, window, axis, i)));
  const isFull = counts.every((axis, i) => axis.every((count) => count === window.kernel[i]));
  const products = counts.reduce<number[]>((all, axis) => all.flatMap((a) => axis.map((b) => a * b)), [1]);
  const shares = g.constant(float32(products.map((count) => 1 / count), windows)); // prettier-ignore
  const share = isFull ? 1 / sizeOf(window.kernel) : castTo(g, shares, dy.type);
  return spread(site, g.Mul(dy, share), window);
};

/** Number of positions along an axis that window number `index` averages. */
function averaged(site: VjpSite, window: Window, axis: number, index: number): number {
  const n = window.kernel.length;
  const size = staticShape(input(site, 0))[axis + 2]!;
  const withPads = intAttribute(site.node, 'count_include_pad', 0) === 1;
  const [from, to] = withPads ? [-window.pads[axis]!, size + window.pads[axis + n]!] : [0, size];
  const start = index * window.strides[axis]! - window.pads[axis]!;
  const positions = Array.from({ length: window.kernel[axis]! }, (_, i) => start + i * window.dilations[axis]!);
  return positions.filter((at) => at >= from && at < to).length;
}

/** dy at each window's maximum; the first of ties, as in torch. Windows may overlap. */
export const maxPoolBack: Vjp = (site) => {
  const { g, dy } = site;
  const window = poolWindow(site);
  const { kernel, strides, dilations, pads } = window;
  const x = input(site, 0);
  const [batch, channels, ...image] = staticShape(x) as [number, number, ...number[]];
  const windows = staticShape(dy).slice(2);
  // The extent of the last window; with `ceil_mode` it may end behind the padding.
  const ends = windows.map((count, i) =>
    Math.max(0, (count - 1) * strides[i]! + reach(kernel[i]!, dilations[i]!) - image[i]! - pads[i]!),
  );
  const around = [0, 0, ...pads.slice(0, kernel.length), 0, 0, ...ends];
  const flat = g.Reshape(x, [batch * channels, 1, ...image]);
  const fill = x.type === 'float16' ? LOWEST_HALF : LOWEST;
  const padded = around.every((pad) => pad === 0) ? flat : g.Pad(flat, around, fill);
  // im2col: each window as a column.
  const positions = positionKernels(g, kernel, x.type);
  const columns = g.emit('Conv', [padded, positions], { strides, dilations });
  const first = g.emit('ArgMax', [columns], { axis: 1, keepdims: 1 });
  const isFirst = g.Equal(
    g.Cast(first, dataTypeNumber('int32')),
    counting(g, [sizeOf(kernel), ...kernel.map(() => 1)]),
  );
  const chosen = where(g, isFirst, g.Reshape(dy, [batch * channels, 1, ...windows]));
  return g.Reshape(scatterWindows(g, chosen, positions, { ...window, group: 1 }, image), [batch, channels, ...image]);
};

function counting(g: GraphBuilder, shape: readonly number[]): Value {
  return g.constant(tensor('int32', Int32Array.from({ length: sizeOf(shape) }, (_, i) => i), shape)); // prettier-ignore
}

function poolWindow({ node, x: [x] }: VjpSite): Window {
  return windowOf(node, staticShape(x!).slice(2), intsAttribute(node, 'kernel_shape') ?? []);
}

/** Adds one number per window, `[batch, channels, …]`, to all of its positions. */
function spread({ g, x: [x] }: VjpSite, value: Value, window: Window): Value {
  const [batch, channels, ...image] = staticShape(x!) as [number, number, ...number[]];
  const flat = g.Reshape(value, [batch * channels, 1, ...staticShape(value).slice(2)]);
  const ones = new Float32Array(sizeOf(window.kernel)).fill(1);
  const kernel = castTo(g, g.constant(float32(ones, [1, 1, ...window.kernel])), x!.type);
  return g.Reshape(scatterWindows(g, flat, kernel, { ...window, group: 1 }, image), [batch, channels, ...image]);
}
