/** @file Gradients of Conv with any kernel, stride, padding, dilation and groups, from standard operators. */

import type { NodeProto } from '../graph/proto.ts';
import { intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { input, staticShape, type Vjp } from './vjp.ts';

interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** All begins, then all ends. */
  readonly pads: readonly number[];
  readonly group: number;
}

function windowOf(node: NodeProto, x: readonly number[], w: readonly number[]): Window {
  const spatial = x.length - 2;
  const ones = new Array<number>(spatial).fill(1);
  const strides = intsAttribute(node, 'strides') ?? ones;
  const dilations = intsAttribute(node, 'dilations') ?? ones;
  const auto = stringAttribute(node, 'auto_pad', 'NOTSET');
  let pads = intsAttribute(node, 'pads') ?? new Array<number>(2 * spatial).fill(0);
  if (auto.startsWith('SAME')) {
    const total = strides.map((stride, i) => {
      const reach = dilations[i]! * (w[i + 2]! - 1) + 1;
      return Math.max(0, (Math.ceil(x[i + 2]! / stride) - 1) * stride + reach - x[i + 2]!);
    });
    const less = total.map((each) => Math.floor(each / 2));
    const more = total.map((each) => Math.ceil(each / 2));
    pads = auto === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less];
  }
  return { strides, dilations, pads, group: intAttribute(node, 'group', 1) };
}

/** dx = ConvTranspose(dy, w); output padding makes up for what the stride did not reach. */
export const convInput: Vjp = (site) => {
  const { g, node, dy } = site;
  const [x, w] = [staticShape(input(site, 0)), staticShape(input(site, 1))];
  const n = x.length - 2;
  const { strides, dilations, pads, group } = windowOf(node, x, w);
  const out = staticShape(dy).slice(2);
  const outputPadding = out.map(
    (size, i) => x[i + 2]! - ((size - 1) * strides[i]! - pads[i]! - pads[i + n]! + dilations[i]! * (w[i + 2]! - 1) + 1),
  );
  return g.emit('ConvTranspose', [dy, input(site, 1)], {
    strides,
    dilations,
    pads,
    group,
    output_padding: outputPadding,
  });
};

/**
 * dw as a convolution of x with dy: batch and channels exchange their roles, stride and dilation too. x is laid out as
 * `[C/g, g·N, …]` and dy as the kernel `[M, N, …]`.
 */
export const convWeight: Vjp = (site) => {
  const { g, node, dy } = site;
  const [x, w] = [staticShape(input(site, 0)), staticShape(input(site, 1))];
  const n = x.length - 2;
  const { strides, dilations, pads, group } = windowOf(node, x, w);
  const [batch, channels] = x as [number, number];
  const spatial = Array.from({ length: n }, (_, i) => i);
  const grouped = g.Reshape(input(site, 0), [batch, group, channels / group, ...x.slice(2)]);
  const moved = g.Transpose(grouped, [2, 1, 0, ...spatial.map((i) => i + 3)]);
  const images = g.Reshape(moved, [channels / group, group * batch, ...x.slice(2)]);
  const kernel = g.Transpose(dy, [1, 0, ...spatial.map((i) => i + 2)]);
  const summed = g.emit('Conv', [images, kernel], { strides: dilations, dilations: strides, pads, group });
  const swapped = g.Transpose(summed, [1, 0, ...spatial.map((i) => i + 2)]);
  const sizes = staticShape(swapped).slice(2);
  // Rows of x that no window reached make the result larger than the kernel.
  return sizes.every((size, i) => size === w[i + 2])
    ? swapped
    : g.Slice(
        swapped,
        spatial.map(() => 0),
        w.slice(2),
        spatial.map((i) => i + 2),
      );
};
