/** @file Names of values in subgraphs: each of its own, and the model computes what it computed. */

import { expect, test } from 'vitest';
import { difference, modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../test/support/storedWeights.ts';
import { type Body, ifModel, loopModel, scanModel } from '../../../../test/support/subgraphs.ts';
import { float32, tensor } from '../runtime/tensor.ts';
import type { GraphProto, ModelProto, NodeProto } from './proto.ts';
import { uniqueNames, withInner, withSubgraphs } from './uniqueNames.ts';
import { allGraphs, subgraphs } from './walk.ts';

const weights = (scale: number): Float32Array => Float32Array.from({ length: 16 }, (_, i) => Math.sin(scale * i));
const layer =
  (scale: number): Body =>
  (g, x) =>
    g.Tanh(g.MatMul(x, g.floats(weights(scale), [4, 4])));
const feeds = { x: float32(weights(3).slice(0, 8), [2, 4]) };

/** Names that each graph defines itself. */
function defined(graph: GraphProto): string[] {
  return [...allGraphs(graph)].flatMap(({ input = [], initializer = [], node = [] }) => [
    ...[...input, ...initializer].map(({ name }) => name!),
    ...node.flatMap(({ output = [] }) => output),
  ]);
}

/** A branch within a branch that captures values of both graphs around it. */
function nested(): ModelProto {
  const captures: Body = (g, x) => g.Add(x, { name: '/fc/Tanh_0' });
  const inner = ifModel(captures, layer(4), undefined, '/inner/').graph!.node!.at(-1)!;
  return ifModel(
    (g, x) => {
      g.Tanh(g.MatMul(x, g.floats(weights(1), [4, 4])));
      g.nodes.at(-1)!.output = ['/fc/Tanh_0'];
      g.nodes.push({ ...inner, output: ['out'] });
      return { name: 'out', type: 'float32', shape: ['batch', 4] };
    },
    (g, x) => g.MatMul(x, { name: 'shared' }),
    (g) => g.floats(weights(2), [4, 4], 'shared'),
  );
}

const models: Readonly<Record<string, ModelProto>> = {
  'two branches with the same names': ifModel(layer(1), layer(2)),
  'a Loop': loopModel(layer(1)),
  'a Scan': scanModel(layer(1)),
  'branches within branches': nested(),
};

test.each(Object.entries(models))('%s', async (_, model) => {
  const graph = uniqueNames(model.graph!);
  const names = defined(graph);
  expect(new Set(names).size).toBe(names.length);
  const isIf = model.graph!.input!.length > 1;
  for (const choice of isIf ? [true, false] : [true]) {
    const own = isIf ? { ...feeds, wanted: tensor('bool', Uint8Array.of(Number(choice)), []) } : feeds;
    const [before, after] = [await runOnce(model, own), await runOnce({ ...model, graph }, own)];
    expect(difference(after['y'], before['y'])).toBe(0);
  }
  // Value names of the outermost graph stay, and so do names of nodes.
  const outer = ({ input = [], output = [], initializer = [], node = [] }: GraphProto): unknown =>
    [input, output, initializer].map((each) => each.map(({ name }) => name)).concat([node.map(({ name }) => name)]);
  expect(outer(graph)).toEqual(outer(model.graph!));
  expect(uniqueNames(graph)).toEqual(graph);
});

test('a graph without subgraphs is returned as it is', () => {
  const g = new WeightBuilder(18);
  const y = g.Tanh({ name: 'x', type: 'float32', shape: [1] });
  const { graph } = modelOf({ opset: 18, inputs: [], outputs: [y.name], nodes: g.nodes, initializers: [] });
  expect(uniqueNames(graph!)).toBe(graph);
});

test('subgraphs are replaced, and nodes that stay the same remain the same objects', () => {
  const graph = ifModel(layer(1), layer(2)).graph!;
  const plain: NodeProto = { opType: 'Relu' };
  expect(withInner(plain, () => ({}))).toBe(plain);
  const branching = graph.node!.at(-1)!;
  expect(withInner(branching, (inner) => inner)).toBe(branching);
  const emptied = withSubgraphs({ ...graph, node: [plain, branching] }, () => ({ name: 'empty' }));
  expect(emptied.node![0]).toBe(plain);
  expect(subgraphs(emptied.node![1]!)).toEqual([{ name: 'empty' }, { name: 'empty' }]);
  expect(subgraphs(branching).map(({ name }) => name)).toEqual(['inner', 'inner']);
});
