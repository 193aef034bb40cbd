/** @file Topological sorting of nodes: ONNX requires it, but not all writers comply. */

import type { GraphProto, NodeProto } from './proto.ts';
import { withSubgraphs } from './uniqueNames.ts';
import { indexNodes, readNames } from './walk.ts';

/** Sorts nodes topologically, keeping the file's order; the same object if sorted. Cycles stay in place. */
export function topologicallySorted(graph: GraphProto): GraphProto {
  const inner = (graph.node ?? []).some(({ attribute }) => attribute?.some(({ g, graphs }) => g ?? graphs?.length))
    ? withSubgraphs(graph, topologicallySorted)
    : graph;
  const nodes = inner.node ?? [];
  const { producer } = indexNodes(nodes);
  const before = (node: NodeProto): NodeProto[] => readNames(node).flatMap((name) => producer.get(name) ?? []);
  const seen = new Set<NodeProto>();
  const isOrdered = nodes.every((node) => {
    seen.add(node);
    return before(node).every((each) => seen.has(each));
  });
  if (isOrdered) return inner.node?.every((node, i) => node === graph.node![i]) ? graph : inner;
  return { ...inner, node: sorted(nodes, before) };
}

/** Depth first without recursion: long chains of nodes would overflow the stack. */
function sorted(nodes: readonly NodeProto[], before: (node: NodeProto) => NodeProto[]): NodeProto[] {
  const result: NodeProto[] = [];
  const state = new Map<NodeProto, 'open' | 'done'>();
  for (const root of nodes) {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      const waiting = state.has(node) ? [] : before(node).filter((each) => !state.has(each));
      if (!state.has(node)) state.set(node, 'open');
      if (waiting.length > 0) {
        for (const each of waiting.reverse()) stack.push(each);
      } else {
        stack.pop();
        if (state.get(node) !== 'done') result.push(node);
        state.set(node, 'done');
      }
    }
  }
  return result;
}
