/** @file Attention in chunks over long sequences, so that the scores never exist as a whole. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { isElementwise, isReshape, traceAxis, type TracedAxis } from '../../ops/axes.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { emitted, type ForwardGraph } from './forwardGraph.ts';

/** Chunked attention, for differentiation. */
export interface Chunks {
  /** Per attention, the scores, weights and other values of single chunks, which may be recomputed. */
  readonly inside: readonly ReadonlySet<string>[];
  /** Inputs of the next chunk by a chunk's output: gradients wait for them, so that one chunk is in memory. */
  readonly follows: ReadonlyMap<string, readonly string[]>;
}

/** Splits each attention with more than `limit` bytes of scores into chunks. */
export function chunkAttention(graph: ForwardGraph, limit: number): Chunks {
  const inside: ReadonlySet<string>[] = [];
  const follows = new Map<string, readonly string[]>();
  for (const softmax of graph.nodes.filter(({ opType }) => opType === 'Softmax')) {
    const shape = graph.types.get(softmax.output![0]!)?.shape;
    if (!isStatic(shape) || shape.length < 3) continue;
    const bytes = 4 * sizeOf(shape);
    if (bytes <= limit) continue;
    const region = regionOf(graph, softmax, sizeOf(shape) / 2);
    const plan = region && planOf(graph, region, softmax, Math.ceil(bytes / limit));
    if (plan) inside.push(rewrite(graph, region, plan, follows));
  }
  return { inside, follows };
}

/** Operators that can be computed in chunks, with at most a rewritten shape. */
function isPartwise(node: NodeProto): boolean {
  const { opType = '' } = node;
  if (isElementwise(node) || ['Softmax', 'MatMul', 'Transpose', 'Expand'].includes(opType)) return true;
  return isReshape(node) && opType !== 'Flatten';
}

/** Nodes around a softmax with values as large as its own, up to the one that reduces them. */
interface Region {
  readonly nodes: readonly NodeProto[];
  /** The only value read outside. */
  readonly exit: string;
}

function regionOf(graph: ForwardGraph, softmax: NodeProto, large: number): Region | undefined {
  const { types, outputs } = graph;
  const { producer, readers } = indexNodes(graph.nodes);
  const isLarge = (name: string): boolean => {
    const shape = types.get(name)?.shape;
    return isStatic(shape) && sizeOf(shape) >= large;
  };
  const inside = new Set([softmax]);
  const exits = new Set<string>();
  for (const node of inside) {
    const [output] = node.output as [string];
    if (!isLarge(output)) {
      exits.add(output);
      continue;
    }
    if (outputs.has(output)) return undefined;
    for (const reader of readers.get(output) ?? []) {
      if (!isPartwise(reader)) return undefined;
      inside.add(reader);
    }
    for (const name of node.input ?? []) {
      const maker = producer.get(name);
      if (maker && isLarge(name) && isPartwise(maker)) inside.add(maker);
    }
  }
  const [exit, another] = exits;
  if (exit === undefined || another !== undefined) return undefined;
  return { nodes: graph.nodes.filter((node) => inside.has(node)), exit };
}

/** Split axis of each value; `whole` if all chunks read it. */
interface Plan {
  readonly parts: number;
  readonly axes: ReadonlyMap<string, TracedAxis>;
}

function planOf(graph: ForwardGraph, region: Region, softmax: NodeProto, least: number): Plan | undefined {
  const exitShape = graph.types.get(region.exit)!.shape as readonly number[];
  const rank = exitShape.length;
  // Queries first: chunks of heads are still quadratic in the length.
  for (const axis of [rank - 2, ...Array.from({ length: rank - 2 }, (_, i) => rank - 3 - i)]) {
    for (let parts = least; parts <= Math.min(exitShape[axis]!, 4 * least); parts++) {
      const axes = exitShape[axis]! % parts === 0 ? traced(graph, region, axis, parts) : undefined;
      if (axes && typeof axes.get(softmax.output![0]!) === 'number') return { parts, axes };
    }
  }
  return undefined;
}

function traced(
  { types, g: { opset } }: ForwardGraph,
  { nodes, exit }: Region,
  axis: number,
  parts: number,
): Map<string, TracedAxis> | undefined {
  const axes = new Map<string, TracedAxis>([[exit, axis]]);
  for (const node of [...nodes].reverse()) {
    const own = axes.get(node.output![0]!);
    if (own === undefined || own === 'whole') return undefined;
    const [y, ...x] = [...node.output!, ...(node.input ?? [])].map((name) => types.get(name)?.shape);
    if (!isStatic(y) || !x.every((shape) => isStatic(shape))) return undefined;
    const operands = x.map((shape) => ({ shape }));
    const found = traceAxis({ node, opset, x: operands, y, output: 0, axis: own, parts });
    if (!found) return undefined;
    for (const [i, name] of (node.input ?? []).entries()) {
      const at = found[i]!;
      const size = at === 'whole' ? 0 : x[i]![at]!;
      if (size % parts !== 0 || (axes.has(name) && axes.get(name) !== at)) return undefined;
      axes.set(name, at);
    }
  }
  return axes;
}

function rewrite(
  graph: ForwardGraph,
  { nodes, exit }: Region,
  { parts, axes }: Plan,
  follows: Map<string, readonly string[]>,
): ReadonlySet<string> {
  const { types } = graph;
  const inside = new Set<string>();
  const own = new Set(nodes.map((node) => node.output![0]!));
  const borders = [...axes].filter(([name]) => !own.has(name));
  const made = emitted(graph, (g) => {
    const part = new Map<string, readonly string[]>();
    for (const [name, axis] of borders) {
      if (axis === 'whole') continue;
      const size = (types.get(name)!.shape![axis] as number) / parts;
      const values = g.Split({ name, ...types.get(name) }, new Array<number>(parts).fill(size), axis);
      part.set(
        name,
        values.map((each) => each.name),
      );
    }
    const outs: string[] = [];
    for (let c = 0; c < parts; c++) {
      const named = (name: string): string => (own.has(name) ? `${name}/part${c}` : (part.get(name)?.[c] ?? name));
      for (const node of nodes) {
        const [output] = node.output as [string];
        const { type, shape } = types.get(output)!;
        const axis = axes.get(output) as number;
        const smaller = (shape as readonly number[]).map((size, i) => (i === axis ? size / parts : size));
        types.set(named(output), { type, shape: smaller });
        const input = (node.input ?? []).map(named);
        // Reshape and Expand need the chunk's shape.
        if (node.opType === 'Reshape' || node.opType === 'Expand') input[1] = g.ints(smaller).name;
        g.nodes.push({ ...node, name: `${node.name ?? output}/part${c}`, input, output: [named(output)] });
        if (output !== exit) inside.add(named(output));
      }
      outs.push(named(exit));
    }
    g.Concat(
      outs.map((name) => ({ name, ...types.get(name) })),
      axes.get(exit) as number,
    );
    g.nodes.at(-1)!.output = [exit];
    outs.forEach((name, c) => {
      const next = borders.map(([border]) => part.get(border)?.[c + 1] ?? border);
      if (c + 1 < parts) follows.set(name, next);
    });
  });
  const replaced = new Set(nodes);
  const last = nodes.at(-1)!;
  graph.nodes = graph.nodes.flatMap((node) => (node === last ? made : replaced.has(node) ? [] : [node]));
  return inside;
}
