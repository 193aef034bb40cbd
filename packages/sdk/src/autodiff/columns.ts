/** @file The gradient of Col2Im, which adds up blocks that overlap: each block reads what is at its place. */

import { float32, sizeOf } from '../runtime/tensor.ts';
import { castTo, input, staticShape, type Vjp } from './vjp.ts';
import { windowOf } from './window.ts';

/** dy `[batch, channels, …image]` as columns `[batch, channels · block, positions]`. */
export const columnsBack: Vjp = (site) => {
  const { g, node, dy } = site;
  const [batch, channels, ...image] = staticShape(dy) as [number, number, ...number[]];
  const block = input(site, 2).ints!.map(Number);
  const { strides, dilations, pads } = windowOf(node, image, block);
  const columns = staticShape(input(site, 0));
  const isTiled =
    strides.every((stride, i) => stride === block[i] && image[i]! % stride === 0 && dilations[i] === 1) &&
    pads.every((pad) => pad === 0);
  if (isTiled) {
    // Blocks that lie side by side are only laid out otherwise: [batch, channels, …(count, block)].
    const split = g.Reshape(dy, [batch, channels, ...image.flatMap((size, i) => [size / block[i]!, block[i]!])]);
    const axes = block.map((_, i) => 2 * i + 3);
    return g.Reshape(g.Transpose(split, [0, 1, ...axes, ...axes.map((axis) => axis - 1)]), columns);
  }
  // A kernel with a one at a position of the block reads what stands there.
  const count = sizeOf(block);
  const eye = Float32Array.from({ length: count * count }, (_, i) => (i % (count + 1) === 0 ? 1 : 0));
  const positions = castTo(g, g.constant(float32(eye, [count, 1, ...block])), dy.type);
  const flat = g.Reshape(dy, [batch * channels, 1, ...image]);
  return g.Reshape(g.emit('Conv', [flat, positions], { strides, dilations, pads }), columns);
};
