/** @file Edges of a graph at which gradients stop, as at torch's `detach`, which no export shows. */

import type { GraphProto, NodeProto } from './proto.ts';

/** A value, and a node that reads it. */
export interface GraphEdge {
  /** Name of the value. */
  readonly value: string;
  /** First output of the node. */
  readonly reader: string;
}

/** Key in a node's metadata. */
const KEY = 'onnx_lora.stop_gradient';

/** Has the readers read an equal value that {@link stoppedValues} finds. Other readers of a value keep their gradient. */
export function stopGradients(graph: GraphProto, edges: readonly GraphEdge[]): GraphProto {
  if (edges.length === 0) return graph;
  const readers = new Map<string, Set<string>>();
  for (const { value, reader } of edges) readers.set(value, (readers.get(value) ?? new Set()).add(reader));
  const stopped = (value: string): string => `${value}/stop_gradient`;
  const identity = (value: string): NodeProto => ({
    opType: 'Identity',
    name: stopped(value),
    input: [value],
    output: [stopped(value)],
    metadataProps: [{ key: KEY, value: 'true' }],
  });
  const given = [...(graph.input ?? []), ...(graph.initializer ?? [])].map(({ name = '' }) => name);
  const node = (graph.node ?? []).flatMap((each): NodeProto[] => {
    const [reader = ''] = each.output ?? [];
    const isStopped = (name: string): boolean => readers.get(name)?.has(reader) ?? false;
    const own = each.input?.some(isStopped)
      ? { ...each, input: each.input.map((name) => (isStopped(name) ? stopped(name) : name)) }
      : each;
    return [own, ...(each.output ?? []).filter((name) => readers.has(name)).map(identity)];
  });
  return { ...graph, node: [...given.filter((name) => readers.has(name)).map(identity), ...node] };
}

/** The values at which {@link stopGradients} stops gradients. */
export function stoppedValues(nodes: readonly NodeProto[]): string[] {
  return nodes.flatMap(({ metadataProps = [], output = [] }) =>
    metadataProps.some(({ key }) => key === KEY) ? output : [],
  );
}
