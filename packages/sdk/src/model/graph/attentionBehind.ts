/** @file Finds attention weights from the keys that they depend on. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { allGraphs, indexGraph, indexWhole, subgraphs } from '../../graph/walk.ts';

/** Operators between keys and weights: they split heads, scale keys, multiply with queries and mask. */
const between = new Set([
  'Identity', 'Cast', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Split', 'Slice', 'Concat', 'Expand',
  'Add', 'Sub', 'Mul', 'Div', 'Where', 'Max', 'MatMul', 'Gemm', 'If',
]); // prettier-ignore

/**
 * Output of the first Softmax that depends on a layer's output `keys`; undefined if fused, or not in the main graph.
 */
export function attentionBehind(graph: GraphProto, keys: string): string | undefined {
  const { uses } = indexWhole(graph);
  const { producer } = indexGraph(graph);
  const given = givenByBranches(graph);
  const known = new Set([keys]);
  // Breadth first: a Set iterates over members added meanwhile.
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

/** The outputs of Ifs by those of their branches. */
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
