/** @file Graph traversal: subgraphs, attributes, producers and consumers. */

import { readBytes } from './bytes.ts';
import type { AttributeProto, GraphProto, NodeProto, TensorProto } from './proto.ts';

/** The graph and its subgraphs, depth first (branches of If, bodies of Loop and Scan). */
export function* allGraphs(graph: GraphProto): Generator<GraphProto> {
  yield graph;
  for (const node of graph.node ?? []) {
    for (const subgraph of subgraphs(node)) yield* allGraphs(subgraph);
  }
}

/** All nodes, including those of subgraphs. */
export function* allNodes(graph: GraphProto): Generator<NodeProto> {
  for (const { node = [] } of allGraphs(graph)) yield* node;
}

/** The direct subgraphs of a node. */
export function subgraphs(node: NodeProto): GraphProto[] {
  return (node.attribute ?? []).flatMap((attribute) => [
    ...(attribute.g ? [attribute.g] : []),
    ...(attribute.graphs ?? []),
  ]);
}

/** The named attribute of a node. */
export function attribute(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute?.find((each) => each.name === name);
}

/** An integer attribute, or `fallback` where the node has none. */
export function intAttribute<T extends number | undefined>(node: NodeProto, name: string, fallback: T): number | T {
  const found = attribute(node, name);
  return found ? Number(found.i ?? 0) : fallback;
}

/** A float attribute, or `fallback` where the node has none. */
export function floatAttribute<T extends number | undefined>(node: NodeProto, name: string, fallback: T): number | T {
  const found = attribute(node, name);
  return found ? (found.f ?? 0) : fallback;
}

/** A list-of-integers attribute, or undefined. */
export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  const found = attribute(node, name);
  return found && (found.ints ?? []).map(Number);
}

/** A string attribute, or `fallback`. */
export function stringAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = attribute(node, name);
  return found?.s ? new TextDecoder().decode(readBytes(found.s)) : fallback;
}

/** One use of a value: input number `index` of `node`. */
export interface Use {
  readonly node: NodeProto;
  readonly index: number;
}

/** Producers and consumers of each value. */
export interface GraphIndex {
  /** The node that produces a value, by value name; graph inputs and initializers have none. */
  /** The node that computes a value. */
  readonly producer: ReadonlyMap<string, NodeProto>;
  /** The uses of a value, by value name. */
  readonly uses: ReadonlyMap<string, readonly Use[]>;
  /** Initializers and the tensors of Constant nodes, by value name. */
  readonly constants: ReadonlyMap<string, TensorProto>;
  /** Names of the graph's outputs. */
  readonly outputs: ReadonlySet<string>;
}

/** Indexes one graph without its subgraphs; edits make the index stale. */
export function indexGraph(graph: GraphProto): GraphIndex {
  return indexAll([graph]);
}

/** Indexes a graph with its subgraphs, which needs unique value names (see `uniqueNames`). */
export function indexWhole(graph: GraphProto): GraphIndex {
  return indexAll([...allGraphs(graph)]);
}

/** Producers and consumers of each value among nodes. */
export interface NodeIndex {
  /** The node that computes a value. */
  readonly producer: ReadonlyMap<string, NodeProto>;
  /** The nodes that read a value, directly or in a subgraph, each once and in order. */
  readonly readers: ReadonlyMap<string, readonly NodeProto[]>;
}

/** Indexes nodes; edits make the index stale. */
export function indexNodes(nodes: readonly NodeProto[]): NodeIndex {
  const producer = new Map<string, NodeProto>();
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const name of node.output ?? []) if (name) producer.set(name, node);
    for (const name of new Set(readNames(node))) append(readers, name, node);
  }
  return { producer, readers };
}

/** Appends to the list of a name. */
export function append<T>(lists: Map<string, T[]>, name: string, item: T): void {
  const list = lists.get(name);
  if (list) list.push(item);
  else lists.set(name, [item]);
}

function indexAll(graphs: readonly GraphProto[]): GraphIndex {
  const index = {
    producer: new Map<string, NodeProto>(),
    uses: new Map<string, Use[]>(),
    constants: new Map<string, TensorProto>(),
    outputs: new Set<string>(),
  };
  for (const graph of graphs) addToIndex(graph, index);
  return index;
}

function addToIndex(
  graph: GraphProto,
  {
    producer,
    uses,
    constants,
    outputs,
  }: {
    readonly producer: Map<string, NodeProto>;
    readonly uses: Map<string, Use[]>;
    readonly constants: Map<string, TensorProto>;
    readonly outputs: Set<string>;
  },
): void {
  for (const { name } of graph.output ?? []) outputs.add(name ?? '');
  for (const tensor of graph.initializer ?? []) constants.set(tensor.name ?? '', tensor);
  for (const node of graph.node ?? []) {
    for (const output of node.output ?? []) if (output) producer.set(output, node);
    (node.input ?? []).forEach((input, index) => {
      if (input) append(uses, input, { node, index });
    });
    const value = node.opType === 'Constant' ? attribute(node, 'value')?.t : undefined;
    if (value && node.output?.[0]) constants.set(node.output[0], value);
  }
}

/** Names that a node reads, including those captured by its subgraphs. */
export function readNames(node: NodeProto): string[] {
  return [...(node.input ?? []).filter(Boolean), ...subgraphs(node).flatMap((graph) => [...capturedNames(graph)])];
}

function capturedNames(graph: GraphProto): Set<string> {
  const inside = new Set([...(graph.input ?? []), ...(graph.initializer ?? [])].map(({ name }) => name ?? ''));
  const captured = new Set<string>();
  for (const node of graph.node ?? []) {
    for (const name of readNames(node)) if (!inside.has(name)) captured.add(name);
    for (const name of node.output ?? []) inside.add(name);
  }
  for (const { name } of graph.output ?? []) if (name && !inside.has(name)) captured.add(name);
  return captured;
}
