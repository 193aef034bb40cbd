/** @file Fuses Slices that cover a whole value into one Split, whose gradient joins the parts in one pass. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { axisOf, fromFront, slicedAxes } from '../../ops/schema.ts';
import { emitted, type ForwardGraph } from './forwardGraph.ts';

/** A node that reads a range of one axis. */
interface Part {
  readonly node: NodeProto;
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  /** Whether the axis is removed, as by Gather of one position. */
  readonly squeezes: boolean;
}

/** Rewrites Slices and Gathers of single positions whose ranges cover an axis without overlap. */
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
    // At the first part, all inputs exist, and it precedes all readers of the others.
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
  const list = (at: number): readonly number[] | undefined => {
    const found = types.get(node.input?.[at] ?? '')?.ints;
    return found?.every((each) => typeof each === 'number') ? found : undefined;
  };
  if (node.opType === 'Gather') {
    const index = types.get(node.input![1]!);
    const [at] = list(1) ?? [];
    if (index?.shape?.length !== 0 || at === undefined) return undefined;
    const axis = axisOf(node, shape.length);
    const start = fromFront(at, shape[axis]!);
    return { node, axis, start, end: start + 1, squeezes: true };
  }
  const [slice, another] = (node.opType === 'Slice' && slicedAxes(node, shape, list)) || [];
  if (!slice || another || slice.step !== 1) return undefined;
  return { node, axis: slice.axis, start: slice.first, end: slice.first + slice.count, squeezes: false };
}
