/** @file A sum of cotangents is added within a product where nothing else reads the product, and only there. */

import { expect, test } from 'vitest';
import { type Differentiated, differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { inferGraph } from '../inferGraph.ts';
import { productsWithAddends } from './gradientNodes.ts';

const [ROWS, WIDTH] = [3, 64];
const filled = (rows: number, columns: number, seed: number): Tensor =>
  float32(
    Array.from({ length: rows * columns }, (_, i) => Math.sin(seed + 0.7 * i)),
    [rows, columns],
  );
const numbers = (tensor: Tensor | undefined): number[] => [...(tensor!.data as Float32Array)];
const feeds = { a: filled(ROWS, WIDTH, 1), w: filled(WIDTH, WIDTH, 2), c: filled(ROWS, WIDTH, 3) };
const [a, w, c] = [numbers(feeds.a), numbers(feeds.w), numbers(feeds.c)];
/** c·Wᵀ, the cotangent of what the product reads. */
const back = c.map((_, i) => {
  const [row, column] = [Math.floor(i / WIDTH), i % WIDTH];
  return Array.from({ length: WIDTH }, (__, k) => c[row * WIDTH + k]! * w[column * WIDTH + k]!).reduce((x, y) => x + y);
});

/** The graph with the rewrite on its gradient. */
function rewritten(graph: Differentiated): Differentiated {
  const { model } = graph;
  const types = inferGraph(model);
  const results = new Set(model.graph!.output!.map(({ name }) => name!));
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'h/' });
  const node = productsWithAddends(model.graph!.node!, g, (name) => types.get(name) ?? {}, results);
  const initializer = [...model.graph!.initializer!, ...g.initializers];
  return { ...graph, model: { ...model, graph: { ...model.graph, node, initializer } } };
}

test.each<[string, (g: GraphBuilder, a: Value, w: Value) => Value, (i: number) => number, boolean]>([
    ['is added to where something stands between', (g, x, w) => g.Add(x, g.MatMul(g.Mul(x, 1), w)), (i) => c[i]! + back[i]!, false],
    ['has an addend where the sum alone reads it', (g, x, w) => g.Add(x, g.MatMul(x, w)), (i) => c[i]! + back[i]!, true],
    ['that is the cotangent of both summands has none', (g, x, w) => g.Add(x, g.MatMul(g.Add(x, g.Mul(x, x)), w)), (i) => c[i]! + back[i]! * (1 + 2 * a[i]!), false],
    ['has none in the shape of a batch, either', (g, x, w) => {
      const wide = g.Reshape(x, [1, ROWS, WIDTH]);
      return g.Reshape(g.Add(wide, g.MatMul(g.Add(wide, g.Mul(wide, wide)), w)), [ROWS, WIDTH]);
    }, (i) => c[i]! + back[i]! * (1 + 2 * a[i]!), false],
    ['that is added to itself has none', (g, x, w) => g.MatMul(g.Add(x, x), w), (i) => 2 * back[i]!, false],
])('a product %s', async (_, build, expected, isAddend) => {
  const { model, ...graph } = rewritten(
    differentiated({ a: [ROWS, WIDTH], w: [WIDTH, WIDTH], c: [ROWS, WIDTH] }, ['a'], (g, v) =>
      g.ReduceSum(g.Mul(build(g, v['a']!, v['w']!), v['c']!), [0, 1], false),
    ),
  );
  const gemms = model.graph!.node!.filter(({ opType }) => opType === 'Gemm');
  expect(gemms.map(({ input }) => input!.length === 3)).toEqual([isAddend]);
  const gradient = numbers((await gradientValues({ model, ...graph }, feeds))['a']);
  gradient.forEach((value, i) => expect(value).toBeCloseTo(expected(i), 4));
}); // prettier-ignore
