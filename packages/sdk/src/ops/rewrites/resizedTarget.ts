/** @file Target shapes of Reshape and Expand for resized data. */

import type { Dim } from '../../graph/value.ts';
import { divideExactly, product } from '../dim.ts';

/** Shapes of a Reshape or Expand. */
export interface Target {
  /** Original shape of the data. */
  readonly old: readonly Dim[];
  /** New shape of the data. */
  readonly now: readonly Dim[];
  readonly target: readonly Dim[];
}

/**
 * The resized target of a Reshape; undefined if ambiguous. Groups of axes of equal product match from the last axis:
 * `[b, 1500, 384]` to `[−1, 1500, 6, 64]` are `384 = 6 · 64`, `1500 = 1500`, and the rest.
 */
export function reshapeTarget({ old, now, target }: Target): readonly Dim[] | undefined {
  const result = [...target];
  let [from, to] = [old.length, target.length];
  while (from > 0 && to > 0) {
    const group = groupBefore(old, target, from, to);
    if (!group) {
      const rest = { old: old.slice(0, from), now: now.slice(0, from), target: result.slice(0, to) };
      const head = follows(rest) ? rest.target : beforeOpen(rest);
      return head && [...head, ...result.slice(to)];
    }
    const [size, fresh] = [old, now].map((shape) => product(shape.slice(group.from, from)));
    if (size !== fresh) {
      const places = target.slice(group.to, to).flatMap((dim, i) => (dim === 1 ? [] : [group.to + i]));
      if (typeof fresh !== 'number' || places.length !== 1) return undefined;
      result[places[0]!] = fresh;
    }
    ({ from, to } = group);
  }
  return result;
}

/** The resized target of an Expand: sizes equal to the data's follow it. */
export function expandTarget({ old, now, target }: Target): readonly Dim[] {
  return target.map((dim, i) => {
    const at = i - target.length + old.length;
    return at >= 0 && dim === old[at] ? now[at]! : dim;
  });
}

/** Start of the group of axes that ends at `from` and `to`; undefined for unknown sizes. */
function groupBefore(
  old: readonly Dim[],
  target: readonly Dim[],
  from: number,
  to: number,
): { readonly from: number; readonly to: number } | undefined {
  if (old[from - 1] === target[to - 1] && typeof old[from - 1] === 'string') return { from: from - 1, to: to - 1 };
  let [left, right, size, wanted] = [from, to, 1, 1];
  while (left === from || right === to || size !== wanted) {
    // The side with the smaller product takes its next axis.
    const takesTarget = right > 0 && (right === to || (wanted <= size && left !== from));
    const dim = takesTarget ? target[--right] : old[--left];
    if (typeof dim !== 'number' || dim < 1) return undefined;
    if (takesTarget) wanted *= dim;
    else size *= dim;
  }
  return { from: left, to: right };
}

/** Whether a target keeps the first axes, the last possibly inferred. Exporters may write two symbols for one batch. */
function follows({ old, now, target }: Target): boolean {
  if (old.join() === now.join()) return true;
  const isKept = (dim: Dim, i: number): boolean =>
    dim === 0 || (dim === old[i] && dim === now[i]) || (typeof dim === 'string' && typeof now[i] === 'string');
  return target.every((dim, i) => isKept(dim, i) || (dim === -1 && i === target.length - 1));
}

/** The target of rows merged with the batch, `[12·batch]` to `[−1, 12]`, if its size is the whole factor of it. */
function beforeOpen({ old, now, target }: Target): readonly Dim[] | undefined {
  const places = target.flatMap((dim, i) => (dim === 1 || dim === -1 ? [] : [i]));
  const [place, another] = places;
  const size = place === undefined ? undefined : target[place];
  if (typeof size !== 'number' || size < 1 || another !== undefined || !target.includes(-1)) return undefined;
  const rest = divideExactly(product(old), size);
  const fresh = typeof rest === 'string' && !rest.includes('*') ? divideExactly(product(now), rest) : undefined;
  return typeof fresh === 'number' ? target.with(place!, fresh) : undefined;
}
