/** @file Shape inference of operators that select elements. */

import { type Dim, isStatic } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { subtract, symbol } from '../dim.ts';
import { firstType, input, numbersIn, type Rule, shaped, unknownDim } from './site.ts';
import { attributeOf, axisOf, fromFront, slicedRange, sliceOperands } from '../schema.ts';

const slice: Rule = (site) => {
  const { type, shape, ints } = input(site);
  if (!shape) return [{ type }];
  const { starts, ends, axes, steps } = sliceOperands(site.node, (index) => input(site, index).ints);
  const result = [...shape];
  let kept = ints;
  if (!starts || !ends || !axes || !steps) {
    // Axes are often known where bounds are not.
    const cut = axes?.map((axis) => fromFront(Number(axis), shape.length));
    return [{ type, shape: shape.map((dim, i) => (cut && !cut.includes(i) ? dim : unknownDim(site, i))) }];
  }
  axes.forEach((each, i) => {
    const axis = fromFront(Number(each), shape.length);
    const range = sliceRange(shape[axis]!, starts[i]!, ends[i]!, Number(steps[i]!));
    result[axis] = range ? range.count : symbol(`slice(${shape[axis]},${starts[i]},${ends[i]},${steps[i]})`);
    const { count, from } = range ?? {};
    const isKnown = isStatic(shape) && typeof count === 'number' && from !== undefined;
    const picked = isKnown ? Array.from({ length: count }, (_, k) => from + k * Number(steps[i]!)) : [];
    kept = kept && isKnown ? along(kept, result, axis, shape[axis]!, picked) : undefined;
  });
  return [{ type, shape: result, ints: kept }];
};

/** Row-major contents of the `picked` positions of an axis of old `size`; `shape` has the new size. */
function along(
  values: readonly Dim[],
  shape: readonly Dim[],
  axis: number,
  size: number,
  picked: readonly number[],
): Dim[] {
  const inner = shape.slice(axis + 1).reduce<number>((a, b) => a * Number(b), 1);
  const outer = values.length / (size * inner) || 0;
  return Array.from({ length: outer }, (_, o) =>
    picked.flatMap((at) => values.slice((o * size + at) * inner, (o * size + at + 1) * inner)),
  ).flat();
}

/** Smallest number that exporters write for "to the end". */
const END = 1e9;

/** Number of sliced elements, and the first if it is a number. */
function sliceRange(size: Dim, start: Dim, end: Dim, step: number): { count: Dim; from?: number } | undefined {
  if (!Number.isFinite(step) || step === 0) return undefined;
  if (typeof size === 'number' && typeof start === 'number' && typeof end === 'number') {
    const { first, count } = slicedRange(size, start, end, step);
    return { count, from: first };
  }
  if (step !== 1) return undefined;
  const toEnd = end === size || (typeof end === 'number' && end >= END);
  const fromStart = start === 0 || (typeof start === 'number' && start <= -END);
  if (fromStart && toEnd) return { count: size, from: 0 };
  if (toEnd && typeof start === 'number' && start > 0 && start < END) return { count: subtract(size, start) };
  // A computed end is a size that the axis was padded to.
  if (fromStart && typeof end === 'string') return { count: end, from: 0 };
  // A dynamic axis may have fewer elements than a slice asks for, except for one.
  return (toEnd && start === -1) || (fromStart && end === 1) ? { count: 1 } : undefined;
}

const gather: Rule = (site) => {
  const [{ type, shape, ints }, indices] = [input(site), input(site, 1)];
  if (!shape || !indices.shape) return [{ type }];
  const axis = axisOf(site.node, shape.length);
  const picked =
    shape.length === 1 && ints ? numbersIn(indices)?.map((index) => ints[fromFront(index, ints.length)]!) : undefined;
  const result = [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)];
  return [{ type, shape: result, ints: result.length <= 1 ? picked : undefined }];
};

const gatherNd = shaped((shape, site) => {
  const indices = input(site, 1).shape;
  const depth = indices?.at(-1);
  if (!indices || typeof depth !== 'number') return undefined;
  return [...indices.slice(0, -1), ...shape.slice(attributeOf(site.node, 'batch_dims') + depth)];
});

const topK: Rule = (site) => {
  const { type, shape } = input(site);
  const k = intAttribute(site.node, 'k', undefined) ?? input(site, 1).ints?.[0] ?? unknownDim(site, 'k');
  const axis = shape && axisOf(site.node, shape.length);
  const result = shape?.map((dim, i) => (i === axis ? k : dim));
  return [
    { type, shape: result },
    { type: 'int64', shape: result },
  ];
};

const oneHot: Rule = (site) => {
  const { shape: indices, ints } = input(site);
  const depth = input(site, 1).ints?.[0];
  const { type, ints: values } = input(site, 2);
  if (!indices) return [{ type }];
  const axis = axisOf(site.node, indices.length + 1);
  const shape = [...indices.slice(0, axis), depth ?? unknownDim(site, axis), ...indices.slice(axis)];
  const isSmall = typeof depth === 'number' && depth <= 64 && axis === indices.length;
  const known = isSmall && values?.length === 2 && ints?.every((index) => typeof index === 'number');
  const row = (index: number): Dim[] =>
    Array.from({ length: Number(depth) }, (_, i) => values![fromFront(index, Number(depth)) === i ? 1 : 0]!);
  return [{ type, shape, ints: known ? (ints as readonly number[]).flatMap(row) : undefined }];
};

/** Indices of nonzero elements: one row per dimension. */
const nonZero: Rule = (site) => {
  const rank = input(site).shape?.length;
  return [{ type: 'int64', shape: rank ? [rank, unknownDim(site, 1)] : undefined }];
};

const compress: Rule = (site) => {
  const { type, shape } = input(site);
  const axis = intAttribute(site.node, 'axis', undefined);
  if (axis === undefined) return [{ type, shape: [unknownDim(site, 0)] }];
  const at = shape && fromFront(axis, shape.length);
  return [{ type, shape: shape?.map((dim, i) => (i === at ? unknownDim(site, i) : dim)) }];
};

/** Unique values, first indices, inverse indices, counts. */
const unique: Rule = (site) => {
  const { type, shape } = input(site);
  const axis = intAttribute(site.node, 'axis', undefined);
  const at = shape && axis !== undefined ? fromFront(axis, shape.length) : undefined;
  const count = unknownDim(site, 'count');
  const list = { type: 'int64' as const, shape: [count] };
  const left = axis === undefined ? [count] : shape?.map((dim, i) => (i === at ? count : dim));
  return [{ type, shape: left }, list, { type: 'int64', shape: [unknownDim(site, 'all')] }, list];
};

export const selectionRules: Readonly<Record<string, Rule>> = {
  Slice: slice,
  Gather: gather,
  GatherElements: (site) => [{ type: firstType(site), shape: input(site, 1).shape }],
  GatherND: gatherNd,
  TopK: topK,
  OneHot: oneHot,
  NonZero: nonZero,
  Compress: compress,
  Unique: unique,
};
