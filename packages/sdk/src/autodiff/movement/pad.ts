/** @file The gradient of Pad in all its modes. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { input, knownInts, staticShape, type Vjp } from '../vjp.ts';
import { attributeOf, fromFront } from '../../ops/schema.ts';

/** Crops the padding, and adds repeated elements to their sources. */
export const padBack: Vjp = (site) => {
  const { g, node, dy } = site;
  const mode = attributeOf(node, 'mode');
  const pads = intsAttribute(node, 'pads') ?? knownInts(site)(1);
  if (!pads) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of Pad "${node.name}" needs pads that the graph knows. Export the model so that they do not depend on what it is fed.`,
    );
  }
  const shape = staticShape(input(site, 0));
  const rank = shape.length;
  const axes = knownInts(site)(3) ?? shape.map((_, i) => i);
  const back = new Array<number>(2 * rank).fill(0);
  axes.forEach((each, i) => {
    const axis = fromFront(each, rank);
    back[axis] = -pads[i]!;
    back[axis + rank] = -pads[i + axes.length]!;
  });
  if (mode === 'constant') return g.Pad(dy, back);
  // Discard cropped elements before any repetition.
  if (back.some((pad) => pad > 0)) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `Pad "${node.name}" with mode "${mode}" and negative pads has no gradient rule. Export it as a Slice and a Pad.`,
    );
  }
  return shape.reduce((value, size, axis) => unrepeated(g, value, axis, size, -back[axis]!, mode), dy);
};

/** Folds an axis of `before + size + after` back to `size`. */
function unrepeated(g: GraphBuilder, value: Value, axis: number, size: number, before: number, mode: string): Value {
  const shape = staticShape(value);
  const total = shape[axis]!;
  if (total === size) return value;
  const part = (from: number, to: number): Value => g.Slice(value, [from], [to], [axis]);
  let sum = part(before, before + size);
  for (const { from, to, first, direction } of [
    ...runs(0, before, (at) => sourceOf(at - before, size, mode)),
    ...runs(before + size, total, (at) => sourceOf(at - before, size, mode)),
  ]) {
    const length = direction === 0 ? 1 : to - from;
    const start = direction < 0 ? first - length + 1 : first;
    const run =
      direction > 0
        ? part(from, to)
        : direction === 0
          ? g.ReduceSum(part(from, to), [axis], true)
          : g.Gather(value, g.ints(Array.from({ length }, (_, i) => to - 1 - i)), axis);
    const pads = new Array<number>(2 * shape.length).fill(0);
    pads[axis] = start;
    pads[axis + shape.length] = size - start - length;
    sum = g.Add(sum, g.Pad(run, pads));
  }
  return sum;
}

/** Source of the element at position `at`, relative to the first element. */
function sourceOf(at: number, size: number, mode: string): number {
  if (mode === 'edge') return Math.min(Math.max(at, 0), size - 1);
  if (mode === 'wrap') return modulo(at, size);
  const back = modulo(at, Math.max(1, 2 * (size - 1)));
  return back < size ? back : 2 * (size - 1) - back;
}

function modulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}

/** Contiguous positions that repeat elements forwards (1), backwards (−1), or a single element (0). */
function runs(
  begin: number,
  end: number,
  sourceAt: (at: number) => number,
): { from: number; to: number; first: number; direction: number }[] {
  const found = [];
  for (let from = begin, to; from < end; from = to) {
    const first = sourceAt(from);
    const direction = from + 1 < end ? sourceAt(from + 1) - first : 1;
    to = from + 1;
    if (Math.abs(direction) > 1) {
      found.push({ from, to, first, direction: 1 });
      continue;
    }
    while (to < end && sourceAt(to) - sourceAt(to - 1) === direction) to++;
    found.push({ from, to, first, direction });
  }
  return found;
}
