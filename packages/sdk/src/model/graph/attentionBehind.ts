/** @file The weights of an attention, found behind the keys that it reads. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { allGraphs, indexGraph, indexWhole, subgraphs } from '../../graph/walk.ts';

/** What stands between keys and weights: heads are told apart, keys are scaled, multiplied with queries and masked. */
const between = new Set([
  'Identity', 'Cast', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Split', 'Slice', 'Concat', 'Expand',
  'Add', 'Sub', 'Mul', 'Div', 'Where', 'Max', 'MatMul', 'Gemm', 'If',
]); // prettier-ignore

/**
 * The output of the first Softmax that is computed from keys; undefined where there is none, as in graphs whose attention is one
 * operator, or none in the main graph.
 *
 * @param keys the value in which a layer gives the keys
 */
export function attentionBehind(graph: GraphProto, keys: string): string | undefined {
  const { uses } = indexWhole(graph);
  const { producer } = indexGraph(graph);
  const given = givenByBranches(graph);
  const known = new Set([keys]);
  // A set is gone over in the order in which it grows: what is near comes first.
  for (const value of known) {
    for (const next of given.get(value) ?? []) known.add(next);
    for (const { node } of uses.get(value) ?? []) {
      const { opType = '', output = [] } = node;
      if (opType === 'Softmax') return producer.has(output[0]!) ? output[0] : undefined;
      if (between.has(opType)) for (const name of output) if (name) known.add(name);
    }
  }
  return undefined;
}

/** By the outputs of branches, what the Ifs give for them. */
function givenByBranches(graph: GraphProto): ReadonlyMap<string, readonly string[]> {
  const given = new Map<string, string[]>();
  const add = (node: NodeProto): void => {
    for (const branch of subgraphs(node)) {
      branch.output?.forEach(({ name = '' }, i) => {
        const own = node.output?.[i];
        if (own) given.set(name, [...(given.get(name) ?? []), own]);
      });
    }
  };
  for (const { node = [] } of allGraphs(graph)) for (const each of node) if (each.opType === 'If') add(each);
  return given;
}
