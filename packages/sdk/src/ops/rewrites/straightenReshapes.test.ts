/** @file Reshapes of reshapes read what was there before, and those that change nothing go. */

import { expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { float32 } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { reachable } from './simplify.ts';
import { straightenReshapes } from './gradientNodes.ts';

const x = float32(
  Array.from({ length: 24 }, (_, i) => i),
  [2, 3, 4],
);

it.each([
  ['of what was reshaped', 1, (g: GraphBuilder, v: Value) => g.Reshape(g.Reshape(v, [6, 4]), [3, 8])],
  ['back and forth', 0, (g: GraphBuilder, v: Value) => g.Reshape(g.Reshape(v, [-1, 4]), [2, 3, 4])],
  ['to what it is', 0, (g: GraphBuilder, v: Value) => g.Reshape(v, [2, -1, 4])],
  ['that another reads too', 1, (g: GraphBuilder, v: Value) => { const rows = g.Reshape(v, [6, 4]); return g.MatMul(rows, g.Transpose(g.Reshape(rows, [6, 4]), [1, 0])); }],
  ['with a dimension of what it reshapes', 2, (g: GraphBuilder, v: Value) => g.Reshape(g.Reshape(v, [3, 2, 4]), [0, 8])],
  ['to a computed shape', 2, (g: GraphBuilder, v: Value) => g.Reshape(g.Reshape(v, [6, 4]), g.Shape(g.Transpose({ ...v, shape: undefined }, [2, 0, 1])))],
] as const)('a Reshape %s', async (_, count, emit) => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const input: Value = { name: 'x', type: 'float32', shape: x.dims };
  const y = g.Mul(emit(g, input), 2);
  const before = modelFrom(g, [input], [y]);
  const types = new Map([['x', input], ...g.types]);
  const node = reachable(straightenReshapes(g.nodes, (name) => types.get(name), new Set([y.name])), [y.name]);
  expect(node.filter(({ opType }) => opType === 'Reshape')).toHaveLength(count);
  const after = { ...before, graph: { ...before.graph!, node } };
  expect(await runOnce(after, { x })).toEqual(await runOnce(before, { x }));
}); // prettier-ignore

it('an output keeps its name', () => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const y = g.Reshape({ name: 'x', type: 'float32', shape: x.dims }, [2, 3, 4]);
  expect(straightenReshapes(g.nodes, (name) => g.types.get(name), new Set([y.name]))).toEqual(g.nodes);
});
