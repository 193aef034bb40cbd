/** @file Producers and readers of values, subgraphs included. */

import { describe, expect, test } from 'vitest';
import { ifModel } from '../../../../test/support/subgraphs.ts';
import { attributeType, type GraphProto, type NodeProto } from './proto.ts';
import { tensorProto } from './tensorData.ts';
import { uniqueNames } from './uniqueNames.ts';
import {
  allGraphs,
  floatAttribute,
  indexGraph,
  indexWhole,
  intAttribute,
  intsAttribute,
  readNames,
  stringAttribute,
  subgraphs,
} from './walk.ts';

const graph = uniqueNames(
  ifModel(
    (g, x) => g.Add(g.MatMul(x, { name: 'outer' }), { name: 'outer' }),
    (g, x) => g.Tanh(x),
    (g) => g.floats([1, 2], [2], 'outer'),
  ).graph!,
);
const branching = graph.node!.at(-1)!;

describe('an index', () => {
  test('of one graph knows nothing of what its nodes hold', () => {
    const { uses, producer, constants, outputs } = indexGraph(graph);
    expect([...uses.keys()]).toEqual(['wanted']);
    expect([...producer.keys()]).toEqual(['y']);
    expect([...constants.keys()]).toEqual(['outer']);
    expect([...outputs]).toEqual(['y']);
  });

  test('of the whole knows every use, in branches too', () => {
    const { uses, producer, outputs } = indexWhole(graph);
    expect(uses.get('outer')!.map(({ node, index }) => [node.opType, index])).toEqual([
      ['MatMul', 1],
      ['Add', 1],
    ]);
    expect(uses.get('x')!.map(({ node }) => node.opType)).toEqual(['MatMul', 'Tanh']);
    const [then, otherwise] = subgraphs(branching) as [GraphProto, GraphProto];
    for (const { name } of [...then.output!, ...otherwise.output!]) {
      expect(outputs.has(name!)).toBe(true);
      expect(producer.get(name!)).toBeDefined();
    }
  });

  test('holds the tensors of Constant nodes, and leaves omitted inputs and outputs out', () => {
    const t = tensorProto('', { type: 'float32', dims: [1], data: Float32Array.of(1) });
    const node: NodeProto[] = [
      { opType: 'Constant', output: ['c'], attribute: [{ name: 'value', t }] },
      { opType: 'Constant', output: ['s'], attribute: [{ name: 'value_int', i: 1 }] },
      { opType: 'Clip', input: ['c', '', 'c'], output: ['y', ''] },
    ];
    const { constants, uses, producer } = indexGraph({ node });
    expect([...constants]).toEqual([['c', t]]);
    expect([...uses.keys()]).toEqual(['c']);
    expect(uses.get('c')!.map(({ index }) => index)).toEqual([0, 2]);
    expect([...producer.keys()]).toEqual(['c', 's', 'y']);
  });
});

test('what a node reads, values captured by its branches included', () => {
  expect(new Set(readNames(branching))).toEqual(new Set(['wanted', 'x', 'outer']));
  const capturedOutput: NodeProto = {
    opType: 'If',
    input: ['condition'],
    attribute: [{ name: 'then_branch', g: { output: [{ name: 'passed on' }] } }],
  };
  expect(readNames(capturedOutput)).toEqual(['condition', 'passed on']);
});

test('all graphs, outermost first', () => {
  const inner: GraphProto = { name: 'inner' };
  const middle: GraphProto = { name: 'middle', node: [{ attribute: [{ name: 'g', g: inner }] }] };
  const outer: GraphProto = { name: 'outer', node: [{ attribute: [{ name: 'gs', graphs: [middle, inner] }] }] };
  expect([...allGraphs(outer)].map(({ name }) => name)).toEqual(['outer', 'middle', 'inner', 'inner']);
});

test('attributes, and what stands for those that are left out', () => {
  const node: NodeProto = {
    attribute: [
      { name: 'i', type: attributeType.int, i: 3 },
      { name: 'zero', type: attributeType.int },
      { name: 'f', type: attributeType.float, f: 0.5 },
      { name: 'ints', type: attributeType.ints, ints: [1, 2] },
      { name: 'empty', type: attributeType.ints },
      { name: 's', type: attributeType.string, s: new TextEncoder().encode('text') },
    ],
  };
  expect([intAttribute(node, 'i', 7), intAttribute(node, 'zero', 7), intAttribute(node, 'none', 7)]).toEqual([3, 0, 7]);
  expect([floatAttribute(node, 'f', 7), floatAttribute(node, 'zero', 7), floatAttribute(node, 'none', undefined)]).toEqual([0.5, 0, undefined]); // prettier-ignore
  expect([intsAttribute(node, 'ints'), intsAttribute(node, 'empty'), intsAttribute(node, 'none')]).toEqual([[1, 2], [], undefined]); // prettier-ignore
  expect([stringAttribute(node, 's', 'none'), stringAttribute(node, 'none', 'none')]).toEqual(['text', 'none']);
});
