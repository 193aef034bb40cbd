/** @file Rows that are taken before they are computed are the same rows. */

import { expect, it } from 'vitest';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { Random } from '../../runtime/random.ts';
import { float32, int64, type Tensor } from '../../runtime/tensor.ts';
import { gatherFirst } from './gatherFirst.ts';
import { inferNode } from '../infer.ts';
import { reachable } from './simplify.ts';

const random = new Random(4);
const normal = (...dims: number[]): Tensor =>
  float32(
    Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal()),
    dims,
  );
const feeds = { x: normal(2, 3, 8), rows: int64([4, 0, 4], [3]) };

/** Results for x and rows before and after the rewrite, and the operators afterwards. */
async function bothWays(
  build: (g: GraphBuilder, x: Value) => Value,
  fed = feeds,
): Promise<{ error: number; ops: string[] }> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
  const x: Value = { name: 'x', type: 'float32', shape: fed.x.dims };
  const rows: Value = { name: 'rows', type: 'int64', shape: ['count'] };
  const y = g.Gather(build(g, x), rows, 0);
  const types = new Map([x, rows, ...[...g.types].map(([name, type]) => ({ name, ...type }))].map((each) => [each.name, each])); // prettier-ignore
  const own = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'first/' });
  const after = reachable(gatherFirst(g.nodes, types, own), [y.name]);
  const initializers = [...g.initializers, ...own.initializers];
  const run = async (nodes: GraphBuilder['nodes']): Promise<Tensor | undefined> =>
    (await runOnce(modelOf({ opset: 17, inputs: [x, rows], outputs: [y.name], nodes, initializers }), fed))[y.name];
  return { error: difference(await run(after), await run(g.nodes)), ops: after.map(({ opType }) => opType!) };
}

it('of a head with a low-rank part, a bias and a scale', async () => {
  const { error, ops } = await bothWays((g, x) => {
    const hidden = g.Tanh(x);
    const low = g.Mul(g.MatMul(g.MatMul(hidden, g.constant(normal(8, 2))), g.constant(normal(2, 20))), 2);
    const head = g.Add(g.MatMul(hidden, g.constant(normal(8, 20))), low);
    return g.Reshape(g.Div(g.Add(g.constant(normal(20)), head), g.constant(normal(1, 20))), [6, 20]);
  });
  expect(error).toBeLessThan(1e-6);
  // The rows of x come first.
  expect(ops.slice(0, 3)).toEqual(['Reshape', 'Gather', 'Tanh']);
  expect(ops.filter((op) => op === 'Gather')).toHaveLength(1);
});

it('of a product that a normalisation of all rows follows, after it', async () => {
  const { error, ops } = await bothWays((g, x) => {
    const scores = g.Softmax(g.Reshape(g.MatMul(x, g.constant(normal(8, 20))), [6, 20]), 0);
    return g.MatMul(scores, g.constant(normal(20, 4)));
  });
  expect(error).toBeLessThan(1e-6);
  expect(ops).toEqual(['MatMul', 'Reshape', 'Softmax', 'Gather', 'MatMul', 'Identity']);
});

it('not where there is no product', async () => {
  const { ops } = await bothWays((g, x) => g.Reshape(g.Tanh(x), [6, 8]));
  expect(ops).toEqual(['Tanh', 'Reshape', 'Gather']);
});

it('not where positions of a row are other things than rows', async () => {
  // Operands that differ by position cannot be taken by row.
  const { error, ops } = await bothWays((g, x) => {
    const head = g.MatMul(x, g.constant(normal(8, 20)));
    return g.Reshape(g.Add(head, g.constant(normal(3, 20))), [6, 20]);
  });
  expect(error).toBeLessThan(1e-6);
  expect(ops).toEqual(['MatMul', 'Add', 'Reshape', 'Gather']);
});

it('of a single row, which is taken several times', async () => {
  const { error } = await bothWays(
    (g, x) => g.MatMul(g.Add(g.MatMul(x, g.constant(normal(8, 8))), x), g.constant(normal(8, 20))),
    { x: normal(1, 8), rows: int64([0, 0, 0], [3]) },
  );
  expect(error).toBeLessThan(1e-6);
});
