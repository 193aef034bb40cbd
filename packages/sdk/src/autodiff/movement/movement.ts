/** @file Gradients of data movement operators, and of Col2Im, which adds overlaps. */

import { OnnxLoraError } from '../../errors.ts';
import { attributeOf, axisOf, permOf, slicedAxes } from '../../ops/schema.ts';
import { input, knownInts, rankOf, staticShape, stretch, type Vjp, zeros } from '../vjp.ts';
import { positionKernels, windowOf } from '../images/window.ts';

/** Transpose by the inverse permutation. */
export const transposeBack: Vjp = ({ g, node, x, dy }) => {
  const rank = rankOf(x[0]!);
  const perm = permOf(node, rank);
  const inverse = new Array<number>(rank);
  perm.forEach((from, to) => (inverse[from] = to));
  return g.Transpose(dy, inverse);
};

/** The part's slice of dy. */
export const concatPart: Vjp = ({ g, node, x, dy }, index) => {
  const axis = axisOf(node, rankOf(dy));
  const sizes = x.map((part) => staticShape(part!)[axis]!);
  const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  return g.Slice(dy, [start], [start + sizes[index]!], [axis]);
};

/** Concat of the parts' gradients; zeros for a part that the loss does not depend on. */
export const splitBack: Vjp = ({ g, node, y, dys, dy }) => {
  const axis = axisOf(node, rankOf(dy));
  const parts = y.map((part, i) => dys[i] ?? zeros(g, staticShape(part), dy.type));
  return g.Concat(parts, axis);
};

/** Pads dy with zeros to the sliced shape, after inserting zeros for steps. */
export const sliceBack: Vjp = (site) => {
  const { g, node, dy } = site;
  const shape = staticShape(input(site, 0));
  const slices = slicedAxes(node, shape, knownInts(site));
  if (!slices) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of Slice "${node.name}" needs starts and ends that the graph knows. Export the model so that they do not depend on what it is fed.`,
    );
  }
  const before = shape.map(() => 0);
  const after = shape.map(() => 0);
  let result = dy;
  for (const { axis, first, step } of slices) {
    const count = staticShape(dy)[axis]!;
    const stride = Math.abs(step);
    if (step < 0) result = g.Slice(result, [count - 1], [-count - 1], [axis], [-1]);
    if (stride > 1 && count > 0) result = stretch(g, result, axis, stride);
    const start = step > 0 ? first : first - (count - 1) * stride;
    before[axis] = start;
    after[axis] = shape[axis]! - start - (count > 0 ? (count - 1) * stride + 1 : 0);
  }
  return [...before, ...after].every((pad) => pad === 0) ? result : g.Pad(result, [...before, ...after]);
};

/** The sum over copies: splits each repeated axis into copies and original. */
export const tileBack: Vjp = ({ g, x: [x], dy }) => {
  const shape = staticShape(x!);
  const repeats = staticShape(dy).map((size, i) => (shape[i] === 0 ? 1 : size / shape[i]!));
  const split = shape.flatMap((size, i) => (repeats[i] === 1 ? [size] : [repeats[i]!, size]));
  const copies = repeats.flatMap((count, i) =>
    count === 1 ? [] : [i + repeats.slice(0, i).filter((each) => each !== 1).length],
  );
  return copies.length === 0 ? dy : g.ReduceSum(g.Reshape(dy, split), copies, false);
};

/** Image blocks `[b, b]` back to channels, as their first or last axis. */
export const depthToSpaceBack: Vjp = ({ g, node, x: [x], dy }) => {
  const b = attributeOf(node, 'blocksize');
  const shape = staticShape(x!);
  const [n, c, h, w] = shape as [number, number, number, number];
  const blocks = g.Reshape(dy, [n, c / (b * b), h, b, w, b]);
  const isDepthFirst = attributeOf(node, 'mode') === 'DCR';
  return g.Reshape(g.Transpose(blocks, isDepthFirst ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]), shape);
};

/** Channels back to image blocks. */
export const spaceToDepthBack: Vjp = ({ g, node, x: [x], dy }) => {
  const b = attributeOf(node, 'blocksize');
  const shape = staticShape(x!);
  const [n, c, h, w] = shape as [number, number, number, number];
  const blocks = g.Reshape(dy, [n, b, b, c, h / b, w / b]);
  return g.Reshape(g.Transpose(blocks, [0, 3, 4, 1, 5, 2]), shape);
};

/** The driver sums over broadcast axes. */
export const expandBack: Vjp = ({ dy }) => dy;

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
    // Adjacent blocks only need a rearrangement: [batch, channels, …(count, block)].
    const split = g.Reshape(dy, [batch, channels, ...image.flatMap((size, i) => [size / block[i]!, block[i]!])]);
    const axes = block.map((_, i) => 2 * i + 3);
    return g.Reshape(g.Transpose(split, [0, 1, ...axes, ...axes.map((axis) => axis - 1)]), columns);
  }
  const positions = positionKernels(g, block, dy.type);
  const flat = g.Reshape(dy, [batch * channels, 1, ...image]);
  return g.Reshape(g.emit('Conv', [flat, positions], { strides, dilations, pads }), columns);
};
