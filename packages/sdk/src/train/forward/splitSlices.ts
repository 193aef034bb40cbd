/**
 * @file Slices that together are the whole become one Split: its gradient joins the parts in one pass, where each Slice's
 * would be padded to full size and added.
 */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { emitted, type ForwardGraph } from './forwardGraph.ts';
import { axisOf, fromFront } from '../../ops/schema.ts';

/** A node that takes a range of one axis. */
interface Part {
  readonly node: NodeProto;
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  /** Whether the axis goes, as when Gather takes one position. */
  readonly squeezes: boolean;
}

/** Rewrites Slices, and Gathers of single positions, whose ranges cover an axis without overlap. */
export function splitSlices(graph: ForwardGraph): void {
  const groups = new Map<string, Part[]>();
  for (const node of graph.nodes) {
    const part = partOf(graph, node);
    if (!part) continue;
    const key = `${node.input![0]}|${part.axis}|${part.squeezes}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  const replacement = new Map<NodeProto, NodeProto[]>();
  for (const parts of groups.values()) {
    const size = graph.types.get(parts[0]!.node.input![0]!)!.shape![parts[0]!.axis] as number;
    const ordered = [...parts].sort((a, b) => a.start - b.start);
    const covers = ordered.every(({ start }, i) => start === (i === 0 ? 0 : ordered[i - 1]!.end));
    if (parts.length < 2 || !covers || ordered.at(-1)!.end !== size) continue;
    for (const { node } of parts) replacement.set(node, []);
    // The first of them stands where everything that it reads is there, and before all readers of the others.
    replacement.set(parts[0]!.node, split(graph, ordered));
  }
  if (replacement.size > 0) graph.nodes = graph.nodes.flatMap((node) => replacement.get(node) ?? [node]);
}

function split(graph: ForwardGraph, parts: readonly Part[]): NodeProto[] {
  const [{ node, axis, squeezes }] = parts as [Part];
  const name = node.input![0]!;
  return emitted(graph, (g) => {
    const values = g.Split(
      { name, ...graph.types.get(name) },
      parts.map(({ start, end }) => end - start),
      axis,
    );
    const split = g.nodes.at(-1)!;
    parts.forEach((part, i) => {
      const output = part.node.output![0]!;
      if (!squeezes) {
        split.output![i] = output;
        return;
      }
      g.Squeeze(values[i]!, [axis]);
      g.nodes.at(-1)!.output = [output];
    });
  });
}

function partOf({ types }: ForwardGraph, node: NodeProto): Part | undefined {
  const { shape } = types.get(node.input?.[0] ?? '') ?? {};
  if (!isStatic(shape)) return undefined;
  const list = (name: string, at: number): readonly number[] | undefined => {
    const found = intsAttribute(node, name) ?? types.get(node.input?.[at] ?? '')?.ints;
    return found?.every((each) => typeof each === 'number') ? found : undefined;
  };
  if (node.opType === 'Gather') {
    const index = types.get(node.input![1]!);
    const [at] = list('', 1) ?? [];
    if (index?.shape?.length !== 0 || at === undefined) return undefined;
    const axis = axisOf(node, shape.length);
    const start = at < 0 ? at + shape[axis]! : at;
    return { node, axis, start, end: start + 1, squeezes: true };
  }
  if (node.opType !== 'Slice') return undefined;
  const [starts, ends] = [list('starts', 1), list('ends', 2)];
  const hasAxes = Boolean(node.input?.[3]) || intsAttribute(node, 'axes') !== undefined;
  const axes = hasAxes ? list('axes', 3) : [0];
  const steps = node.input?.[4] ? list('steps', 4) : [1];
  if (starts?.length !== 1 || ends?.length !== 1 || axes?.length !== 1 || steps?.[0] !== 1) return undefined;
  const axis = fromFront(axes[0]!, shape.length);
  const size = shape[axis]!;
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
  return { node, axis, start: clamp(starts[0]!), end: clamp(ends[0]!), squeezes: false };
}
