/** @file Tracks which axes of a value hold a layer's outputs, through Reshape and the like. */

import type { Dim } from '../../graph/value.ts';

/** `size` outputs, `stride` apart. */
interface Factor {
  readonly stride: number;
  readonly size: number;
}

/** One axis of a value. */
export interface Axis {
  readonly size: Dim;
  /** The outputs along the axis, the outermost first; empty for other axes, such as positions. */
  readonly factors: readonly Factor[];
  /** Whether the axis holds only `factors`. If not, all of its outputs are still present. */
  readonly isPure: boolean;
}

/** Indices of all outputs that the axes hold, relative to the first. */
export function indicesOf(axes: readonly Axis[]): number[] {
  return axes
    .flatMap(({ factors }) => factors)
    .reduce<number[]>(
      (all, { stride, size }) => all.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * stride)),
      [0],
    );
}

/** The axes after a slice of one of them, and the first remaining output; undefined if the range cannot be tracked. */
export function afterSlice(
  axes: readonly Axis[],
  axis: number,
  start: number,
  size: number,
): { readonly axes: readonly Axis[]; readonly offset: number } | undefined {
  const own = axes[axis];
  if (!own || size < 1) return undefined;
  const [factor, another] = own.factors;
  if (!factor) return { axes: axes.with(axis, { ...own, size }), offset: 0 };
  if (another || !own.isPure || start < 0 || start + size > factor.size) return undefined;
  const factors = size === 1 ? [] : [{ stride: factor.stride, size }];
  return { axes: axes.with(axis, { size, factors, isPure: true }), offset: start * factor.stride };
}

/** The axes after a Reshape; undefined if outputs are mixed with other axes. */
export function regrouped(axes: readonly Axis[], shape: readonly Dim[]): readonly Axis[] | undefined {
  const result = new Array<Axis | undefined>(shape.length);
  const put = (group: readonly Axis[], first: number, sizes: readonly Dim[]): boolean => {
    const own = redistributed(group, sizes);
    own?.forEach((axis, i) => (result[first + i] = axis));
    return own !== undefined;
  };
  let [i, j] = [axes.length, shape.length];
  // From the right: the smallest groups of axes with equal numbers of elements on both sides.
  while (i > 0 && j > 0) {
    let [from, to] = [i - 1, j - 1];
    let [left, right]: [Dim | undefined, Dim | undefined] = [axes[from]!.size, shape[to]!];
    while (left !== right && typeof left === 'number' && typeof right === 'number') {
      if (left < right) left = times(left, axes[--from]?.size);
      else right = times(right, shape[--to]);
    }
    if (left !== right || left === undefined) break;
    if (!put(axes.slice(from, i), to, shape.slice(to, j))) return undefined;
    [i, j] = [from, to];
  }
  let first = 0;
  for (; first < i && first < j && axes[first]!.size === shape[first]; first++) result[first] = axes[first];
  return put(axes.slice(first, i), first, shape.slice(first, j)) ? (result as Axis[]) : undefined;
}

function times(product: number, size: Dim | undefined): number | undefined {
  return typeof size === 'number' ? product * size : undefined;
}

function redistributed(group: readonly Axis[], sizes: readonly Dim[]): Axis[] | undefined {
  const own = group.filter(({ size }) => size !== 1);
  const factors = own.flatMap((axis) => axis.factors);
  const none = (size: Dim): Axis => ({ size, factors: [], isPure: true });
  if (factors.length === 0) return sizes.map(none);
  if (own.every((axis) => axis.isPure && axis.factors.length > 0)) {
    const split = splitOver(factors, sizes);
    if (split) return split;
  }
  // A single axis still holds all outputs, in any order.
  const wide = sizes.filter((size) => size !== 1);
  if (wide.length !== 1) return undefined;
  return sizes.map((size) => (size === 1 ? none(size) : { size, factors, isPure: false }));
}

/** Distributes factors over axes of these sizes, the innermost first. */
function splitOver(factors: readonly Factor[], sizes: readonly Dim[]): Axis[] | undefined {
  const left = [...factors];
  const result: Axis[] = [];
  for (const size of sizes.toReversed()) {
    const own: Factor[] = [];
    let wanted = size as number;
    while (wanted > 1) {
      const factor = left.pop();
      if (!factor) return undefined;
      const { stride } = factor;
      if (wanted % factor.size === 0) {
        own.unshift(factor);
        wanted /= factor.size;
      } else if (factor.size % wanted === 0) {
        own.unshift({ stride, size: wanted });
        left.push({ stride: stride * wanted, size: factor.size / wanted });
        wanted = 1;
      } else return undefined;
    }
    result.unshift({ size, factors: merged(own), isPure: true });
  }
  return left.length === 0 ? result : undefined;
}

function merged(factors: readonly Factor[]): readonly Factor[] {
  return factors.reduce<Factor[]>((all, factor) => {
    const before = all.at(-1);
    if (before?.stride !== factor.stride * factor.size) return [...all, factor];
    return [...all.slice(0, -1), { stride: factor.stride, size: before.size * factor.size }];
  }, []);
}
