/** @file Nodes behind those that they read from: whatever order a file has, with as little moved as can be. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { topologicallySorted } from './topologicalSort.ts';
import { attributeType, type GraphProto, type NodeProto } from './proto.ts';

const node = (output: string, ...input: string[]): NodeProto => ({ opType: 'Sum', input, output: [output] });
const order = (graph: GraphProto): string[] => graph.node!.map(({ output }) => output![0]!);

test('an ordered graph stays the same object', () => {
  const graph = { node: [node('a', 'x'), node('b', 'a', '')] };
  expect(topologicallySorted(graph)).toBe(graph);
});

test('what is read moves before its first reader, all else stays', () => {
  const graph = { node: [node('b', 'a', 'w'), node('c', 'b'), node('d', 'x'), node('a', 'late'), node('late', 'x')] };
  expect(order(topologicallySorted(graph))).toEqual(['late', 'a', 'b', 'c', 'd']);
});

test('what a subgraph reads from outside counts, and subgraphs are ordered too', () => {
  const branch = { node: [node('q', 'p'), node('p', 'outside')], output: [{ name: 'q' }] };
  const choose = {
    opType: 'If', input: ['c'], output: ['y'],
    attribute: [{ name: 'then_branch', type: attributeType.graph, g: branch }],
  }; // prettier-ignore
  const sorted = topologicallySorted({ node: [choose, node('outside', 'x')] });
  expect(order(sorted)).toEqual(['outside', 'y']);
  expect(order(sorted.node![1]!.attribute![0]!.g!)).toEqual(['p', 'q']);
});

test('a circle ends', () => {
  expect(order(topologicallySorted({ node: [node('a', 'b'), node('b', 'a')] })).sort()).toEqual(['a', 'b']);
});

test('any shuffled graph', () => {
  const graphs = fc
    .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 30 })
    .map((reads) => reads.map((each, i) => node(`v${i}`, ...each.map((at) => (i === 0 ? 'x' : `v${at % i}`)))))
    .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length }));
  fc.assert(
    fc.property(graphs, (nodes) => {
      const done = new Set(['x']);
      const sorted = topologicallySorted({ node: nodes }).node!;
      expect(new Set(sorted)).toEqual(new Set(nodes));
      for (const each of sorted) {
        for (const name of each.input!) expect(done).toContain(name);
        done.add(each.output![0]!);
      }
    }),
  );
});
