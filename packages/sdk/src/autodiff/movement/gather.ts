/** @file Gradients of Gather, GatherElements, GatherND and TopK: scatter-adds. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { isStatic } from '../../graph/value.ts';
import { attributeOf, axisOf, fromFront } from '../../ops/schema.ts';
import { int64, sizeOf } from '../../runtime/tensor.ts';
import { isEqual } from '../comparisons.ts';
import { castTo, input, rankOf, staticShape, type Vjp, widened, zeros } from '../vjp.ts';

/** Pads a single constant index back into place; scatter-adds anything else. */
export const gatherData: Vjp = (site) => {
  const { g, node, dy } = site;
  const [data, indices] = [input(site, 0), input(site, 1)];
  const shape = staticShape(data);
  const axis = axisOf(node, shape.length);
  const size = shape[axis]!;
  const [only] = indices.ints ?? [];
  if (indices.ints?.length === 1 && typeof only === 'number' && rankOf(indices) <= 1) {
    const row = rankOf(indices) === 0 ? g.Unsqueeze(dy, [axis]) : dy;
    const pads = new Array<number>(2 * shape.length).fill(0);
    const at = fromFront(only, size);
    pads[axis] = at;
    pads[axis + shape.length] = size - 1 - at;
    return g.Pad(row, pads);
  }
  const sizes = {
    batch: sizeOf(shape.slice(0, axis)),
    count: countOf(indices.shape),
    inner: sizeOf(shape.slice(axis + 1)),
  };
  return g.Reshape(addRows(g, dy, g.Reshape(indices, [1, sizes.count]), size, sizes), shape);
};

/** Scatter-adds elements along the axis. */
export const gatherElementsData: Vjp = (site) => {
  const { g, node, dy } = site;
  const [data, indices] = [input(site, 0), input(site, 1)];
  const shape = staticShape(data);
  const axis = axisOf(node, shape.length);
  if (g.opset >= 16) {
    return scatterAdd(g, shape, indices, dy, axis);
  }
  const read = staticShape(indices);
  const last = shape.length - 1;
  const order = shape.map((_, i) => i).toSpliced(axis, 1).concat(axis); // prettier-ignore
  const lanes = sizeOf(read.toSpliced(axis, 1));
  const lined = (value: Value): Value => (axis === last ? value : g.Transpose(value, order));
  const sizes = { batch: lanes, count: read[axis]!, inner: 1 };
  const sums = addRows(g, lined(dy), g.Reshape(lined(indices), [lanes, sizes.count]), shape[axis]!, sizes);
  const back = g.Reshape(sums, [...read.toSpliced(axis, 1), shape[axis]!]);
  const inverse = order.map((_, i) => order.indexOf(i));
  const placed = axis === last ? back : g.Transpose(back, inverse);
  // Other axes only as far as the indices reach.
  const missing = shape.map((size, i) => (i === axis ? 0 : size - read[i]!));
  return missing.every((size) => size === 0) ? placed : g.Pad(placed, [...shape.map(() => 0), ...missing]);
};

/** Scatter-adds slices; indices along several axes become one along the joined axis. */
export const gatherNdData: Vjp = (site) => {
  const { g, node, dy } = site;
  const [data, indices] = [input(site, 0), input(site, 1)];
  const shape = staticShape(data);
  const batchDims = attributeOf(node, 'batch_dims');
  const depth = indices.shape!.at(-1) as number;
  const batch = sizeOf(shape.slice(0, batchDims));
  const joined = shape.slice(batchDims, batchDims + depth);
  const sizes = {
    batch,
    count: countOf(indices.shape?.slice(batchDims, -1)),
    inner: sizeOf(shape.slice(batchDims + depth)),
  };
  let position = indices;
  if (depth > 1) {
    const strides = joined.map((_, i) => sizeOf(joined.slice(i + 1)));
    const fromFront = g.Where(g.Less(indices, g.scalar(0, 'int64')), g.Add(indices, g.ints(joined)), indices);
    position = g.ReduceSum(g.Mul(fromFront, g.ints(strides)), [rankOf(indices) - 1], false);
  }
  return g.Reshape(addRows(g, dy, g.Reshape(position, [batch, sizes.count]), sizeOf(joined), sizes), shape);
};

/** Number of elements, or −1, which Reshape infers, for a dynamic shape. */
function countOf(shape: Value['shape']): number {
  return isStatic(shape) ? sizeOf(shape) : -1;
}

/**
 * Scatter-adds rows: `result[b, index[b, k]] = Σ dy[b, k]`.
 * @param dy as many numbers as `[batch, count, inner]`
 * @param index `[batch, count]`, or `[1, count]` for all; negative indices count from the end
 * @returns `[batch, size, inner]`
 */
function addRows(
  g: GraphBuilder,
  dy: Value,
  index: Value,
  size: number,
  { batch, count, inner }: { readonly batch: number; readonly count: number; readonly inner: number },
): Value {
  const rows = g.Reshape(dy, [batch, count, inner]);
  const batches = index.shape![0] as number;
  const wide = castTo(g, index, 'int64');
  const spread = (): Value =>
    g.Expand(g.Reshape(wide, [batches, count, 1]), count < 0 ? g.Shape(rows) : [batch, count, inner]);
  if (g.opset >= 16) return scatterAdd(g, [batch, size, inner], spread(), rows, 1);
  // Before opset 16 ScatterElements cannot add; a one-hot product can: row indices against all indices, or against each
  // other if fewer. Rows of one index then hold equal sums, so that any of them may be written.
  const fromFront = g.Where(g.Less(wide, g.scalar(0, 'int64')), g.Add(wide, g.scalar(size, 'int64')), wide);
  const numbers = g.Reshape(fromFront, [batches, 1, count]);
  const isFewer = size <= count;
  const all = int64(Array.from({ length: isFewer ? size : 0 }, (_, i) => i), [1, isFewer ? size : 0, 1]); // prettier-ignore
  const wanted = isFewer ? g.constant(all) : g.Reshape(fromFront, [batches, count, 1]);
  const sums = g.MatMul(g.Cast(isEqual(g, wanted, numbers), dataTypeNumber(rows.type ?? 'float32')), rows);
  if (isFewer) return sums;
  const start = zeros(g, [batch, size, inner], rows.type);
  return g.emit(g.opset < 11 ? 'Scatter' : 'ScatterElements', [start, spread(), sums], { axis: 1 });
}

/** Sums elements with the same index, in float32 at least: a half may be the sum of thousands. */
function scatterAdd(g: GraphBuilder, shape: readonly number[], indices: Value, updates: Value, axis: number): Value {
  const wide = widened(g, updates);
  const sums = g.emit('ScatterElements', [zeros(g, shape, wide.type), indices, wide], { axis, reduction: 'add' });
  return castTo(g, sums, updates.type);
}

/** Scatters dy to the indices, the operator's second output. */
export const topKBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const zeros = g.Expand(g.scalar(0, dy.type), staticShape(input(site, 0)));
  const axis = attributeOf(node, 'axis');
  return g.emit(g.opset < 11 ? 'Scatter' : 'ScatterElements', [zeros, y[1]!, dy], { axis });
};
