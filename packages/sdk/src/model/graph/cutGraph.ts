/** @file Splits a graph at a value. */

import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexNodes, readNames } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';

type Whole = ModelProto & { readonly graph: GraphProto };

/** Splits a graph at a value of the main graph: the second part has it as an input. Shared nodes are in both. */
export function cutGraph<M extends Whole>(model: M, value: string, { type, shape }: ValueType): [before: M, after: M] {
  const info = valueInfo(value, type, shape);
  return [part(model, [info], []), part(model, model.graph.output ?? [], [info])];
}

/** Reduces a graph to the nodes that these outputs, and the values `kept`, need. */
export function withOutputsOnly<M extends Whole>(
  model: M,
  outputs: NonNullable<GraphProto['output']>,
  kept: readonly string[] = [],
): M {
  return part(model, outputs, [], kept);
}

type Infos = NonNullable<GraphProto['output']>;

function part<M extends Whole>(model: M, outputs: Infos, given: Infos, kept: readonly string[] = []): M {
  const { graph } = model;
  const names = [...outputs.map(({ name }) => name ?? ''), ...kept];
  const { nodes, read } = needed(graph, names, new Set(given.map(({ name }) => name)));
  const own = {
    ...graph,
    node: nodes,
    initializer: (graph.initializer ?? []).filter(({ name }) => read.has(name ?? '')),
    input: [...given, ...(graph.input ?? []).filter(({ name }) => read.has(name ?? ''))],
    output: outputs,
  };
  return { ...model, graph: own };
}

/** The nodes that compute some values, in order, and all names read, stopping at given values. */
function needed(
  { node = [] }: GraphProto,
  values: readonly string[],
  given: ReadonlySet<string | undefined>,
): { readonly nodes: NodeProto[]; readonly read: ReadonlySet<string> } {
  const { producer } = indexNodes(node);
  const read = new Set(values);
  const nodes = new Set<NodeProto>();
  // A Set iterates over members added meanwhile.
  for (const name of read) {
    const maker = given.has(name) ? undefined : producer.get(name);
    if (!maker || nodes.has(maker)) continue;
    nodes.add(maker);
    for (const input of readNames(maker)) read.add(input);
  }
  return { nodes: node.filter((each) => nodes.has(each)), read };
}
