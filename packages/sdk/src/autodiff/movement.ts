/** @file Gradients of operators that move values without changing them. */

import { OnnxLoraError } from '../errors.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { float32 } from '../runtime/tensor.ts';
import { frontAxis, input, rankOf, staticShape, type Vjp } from './vjp.ts';

/** Transpose by the inverse permutation. */
export const transposeBack: Vjp = ({ g, node, x, dy }) => {
  const rank = rankOf(x[0]!);
  const perm = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inverse = new Array<number>(rank);
  perm.forEach((from, to) => (inverse[from] = to));
  return g.Transpose(dy, inverse);
};

/** Each part's gradient is its slice of dy. */
export const concatPart: Vjp = ({ g, node, x, dy }, index) => {
  const axis = frontAxis(intAttribute(node, 'axis', 0), rankOf(dy));
  const sizes = x.map((part) => staticShape(part!)[axis]!);
  const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  return g.Slice(dy, [start], [start + sizes[index]!], [axis]);
};

/** Concat of the parts' gradients; a part that the loss does not depend on contributes zeros. */
export const splitBack: Vjp = ({ g, node, y, dys, dy }) => {
  const axis = frontAxis(intAttribute(node, 'axis', 0), rankOf(dy));
  const parts = y.map((part, i) => dys[i] ?? g.Expand(g.scalar(0, dy.type), staticShape(part)));
  return g.Concat(parts, axis);
};

/** Pads dy with zeros to the shape that was sliced; a step other than 1 is spread out first. */
export const sliceBack: Vjp = (site) => {
  const { g, node, dy } = site;
  const shape = staticShape(input(site, 0));
  const list = (name: string, i: number): readonly number[] | undefined =>
    intsAttribute(node, name) ?? (site.x[i]?.ints as readonly number[] | undefined);
  const [starts, ends] = [list('starts', 1), list('ends', 2)];
  if (!starts || !ends || [...starts, ...ends].some((value) => typeof value !== 'number')) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of Slice "${node.name}" needs starts and ends that the graph knows.`,
    );
  }
  const axes = list('axes', 3) ?? starts.map((_, i) => i);
  const steps = list('steps', 4) ?? starts.map(() => 1);
  const before = shape.map(() => 0);
  const after = shape.map(() => 0);
  let result = dy;
  axes.forEach((each, i) => {
    const axis = frontAxis(each, shape.length);
    const size = shape[axis]!;
    const count = staticShape(dy)[axis]!;
    const step = steps[i]!;
    const index = starts[i]! < 0 ? starts[i]! + size : starts[i]!;
    const first = step > 0 ? Math.min(Math.max(index, 0), size) : Math.min(Math.max(index, -1), size - 1);
    const stride = Math.abs(step);
    if (step < 0) result = g.Slice(result, [count - 1], [-count - 1], [axis], [-1]);
    if (stride > 1 && count > 0) result = spread(result, axis, stride);
    const start = step > 0 ? first : first - (count - 1) * stride;
    before[axis] = start;
    after[axis] = size - start - (count > 0 ? (count - 1) * stride + 1 : 0);
  });
  return [...before, ...after].every((pad) => pad === 0) ? result : g.Pad(result, [...before, ...after]);

  /** Puts `stride − 1` zeros between the elements of an axis: [..., n, ...] → [..., (n − 1)·stride + 1, ...]. */
  function spread(value: typeof dy, axis: number, stride: number): typeof dy {
    const dims = staticShape(value);
    const unit = g.Reshape(value, [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)]);
    const pads = new Array<number>(2 * (dims.length + 1)).fill(0);
    pads[dims.length + 1 + axis + 1] = stride - 1;
    const joined = g.Reshape(g.Pad(unit, pads), [
      ...dims.slice(0, axis),
      dims[axis]! * stride,
      ...dims.slice(axis + 1),
    ]);
    return g.Slice(joined, [0], [(dims[axis]! - 1) * stride + 1], [axis]);
  }
};

/** Cuts the padding off again; only zero (constant) padding. */
export const padBack: Vjp = (site) => {
  const { g, node, dy } = site;
  const mode = stringAttribute(node, 'mode', 'constant');
  const pads = (intsAttribute(node, 'pads') ?? site.x[1]?.ints) as readonly number[] | undefined;
  if (mode !== 'constant' || !pads) {
    throw new OnnxLoraError('NO_GRADIENT', `Pad "${node.name}" with mode "${mode}" has no gradient rule.`);
  }
  const rank = rankOf(input(site, 0));
  const axes = (site.x[3]?.ints as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, i) => i);
  const back = new Array<number>(2 * rank).fill(0);
  axes.forEach((each, i) => {
    const axis = frontAxis(each, rank);
    back[axis] = -pads[i]!;
    back[axis + rank] = -pads[i + axes.length]!;
  });
  return g.Pad(dy, back);
};

/** A single constant index is padded back into place; anything else is added up, by ScatterElements where it can. */
export const gatherData: Vjp = (site) => {
  const { g, node, dy } = site;
  const [data, indices] = [input(site, 0), input(site, 1)];
  const shape = staticShape(data);
  const axis = frontAxis(intAttribute(node, 'axis', 0), shape.length);
  const size = shape[axis]!;
  const [only] = indices.ints ?? [];
  if (indices.ints?.length === 1 && typeof only === 'number' && rankOf(indices) <= 1) {
    const row = rankOf(indices) === 0 ? g.Unsqueeze(dy, [axis]) : dy;
    const pads = new Array<number>(2 * shape.length).fill(0);
    const at = frontAxis(only, size);
    pads[axis] = at;
    pads[axis + shape.length] = size - 1 - at;
    return g.Pad(row, pads);
  }
  // One row per index: dy as [before, indices, after], indices spread over the other two.
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const count = staticShape(indices).reduce((a, b) => a * b, 1);
  const rows = g.Reshape(dy, [outer, count, inner]);
  if (g.opset < 16) {
    // ScatterElements cannot add yet: dy is multiplied with a matrix that has a one where a row was read.
    const wide = indices.type === 'int64' ? indices : g.Cast(indices, dataTypeNumber('int64'));
    const read = g.emit('OneHot', [g.Reshape(wide, [count]), g.ints([size]), g.constant(float32([0, 1], [2]))], {
      axis: 0,
    });
    const typed = dy.type === 'float32' ? read : g.Cast(read, dataTypeNumber(dy.type ?? 'float32'));
    return g.Reshape(g.MatMul(typed, rows), shape);
  }
  const spread = g.Expand(g.Reshape(indices, [1, count, 1]), [outer, count, inner]);
  const zeros = g.Expand(g.scalar(0, dy.type), [outer, size, inner]);
  const summed = g.emit('ScatterElements', [zeros, spread, rows], {
    axis: 1,
    reduction: 'add',
  });
  return g.Reshape(summed, shape);
};

/** The driver sums what was broadcast. */
export const expandBack: Vjp = ({ dy }) => dy;
