/** @file A graph in two: what computes a value, and what goes on from it. */

import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexNodes, readNames } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';

type Whole = ModelProto & { readonly graph: GraphProto };

/**
 * Cuts a graph at a value of its main graph. The first part computes it, and nothing else; the second reads it as an input and
 * computes the outputs. Nodes, weights and inputs that both need, such as those of a size, are in both.
 */
export function cutGraph<M extends Whole>(model: M, value: string, { type, shape }: ValueType): [before: M, after: M] {
  const info = valueInfo(value, type, shape);
  return [part(model, [info], []), part(model, model.graph.output ?? [], [info])];
}

/** The graph with these outputs, and nothing in it that they do not need, nor the values `kept`. */
export function withOutputsOnly<M extends Whole>(
  model: M,
  outputs: NonNullable<GraphProto['output']>,
  kept: readonly string[] = [],
): M {
  return part(model, outputs, [], kept);
}

type Infos = NonNullable<GraphProto['output']>;

/** What computes some outputs from the inputs and from the values that are given. */
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

/** The nodes behind some values, in their order, and all that is read on the way. What is given is not looked behind. */
function needed(
  { node = [] }: GraphProto,
  values: readonly string[],
  given: ReadonlySet<string | undefined>,
): { readonly nodes: NodeProto[]; readonly read: ReadonlySet<string> } {
  const { producer } = indexNodes(node);
  const read = new Set(values);
  const nodes = new Set<NodeProto>();
  // A set takes in what is added while it is walked through.
  for (const name of read) {
    const maker = given.has(name) ? undefined : producer.get(name);
    if (!maker || nodes.has(maker)) continue;
    nodes.add(maker);
    for (const input of readNames(maker)) read.add(input);
  }
  return { nodes: node.filter((each) => nodes.has(each)), read };
}
