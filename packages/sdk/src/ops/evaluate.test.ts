/** @file Computations on weights alone, against ONNX Runtime. */

import { expect, it } from 'vitest';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { float32, int64, type Tensor } from '../runtime/tensor.ts';
import { modelFrom, runOnce } from '../../../../test/support/graphs.ts';
import { evaluate } from './evaluate.ts';
import { inferNode } from './infer.ts';

const given = {
  a: float32(
    Float32Array.from({ length: 24 }, (_, i) => Math.sin(i + 1)),
    [2, 3, 4],
  ),
  b: float32(
    Float32Array.from({ length: 20 }, (_, i) => 0.3 + Math.cos(i) ** 2),
    [4, 5],
  ),
  c: float32([0.5, -1, 2], [3, 1]),
};
type Given = Record<keyof typeof given, Value>;

it.each<[string, (g: GraphBuilder, values: Given) => Value]>([
  ['sums and products of other shapes', (g, { a, c }) => g.Sub(g.Mul(g.Add(a, c), 3), g.Div(a, g.Add(g.Abs(c), 0.1)))],
  ['products of matrices', (g, { a, b }) => g.MatMul(a, b)],
  ['a product of stacks', (g, { a }) => g.MatMul(a, g.Transpose(a, [0, 2, 1]))],
  ['a product with a stack', (g, { a, b }) => g.MatMul(g.Transpose(b, [1, 0]), g.Transpose(a, [0, 2, 1]))],
  ['orders and shapes', (g, { a }) => g.Squeeze(g.Reshape(g.Transpose(a, [2, 0, 1]), [4, 6, 1]), [2])],
  ['parts side by side', (g, { a, c }) => g.Concat([a, g.Expand(g.Unsqueeze(c, [0]), [2, 3, 2])], 2)],
  ['chosen parts', (g, { a }) => g.Gather(a, g.ints([3, 0, 0]), 2)],
  [
    'scattered elements',
    (g, { a, b }) =>
      g.emit(
        'ScatterElements',
        [b, g.constant(int64([3, -4, 1, 0], [2, 2])), g.Reshape(g.Slice(a, [0, 0, 1], [1, 2, 3], [0, 1, 2]), [2, 2])],
        { axis: 0 },
      ),
  ],
  ['parts backwards', (g, { a }) => g.Slice(a, [-1, 0], [-9, 2], [2, 1], [-2, 1])],
  [
    'roundings',
    (g, { a }) => g.Mul(g.emit('Ceil', [g.Mul(a, 3)]), g.Add(g.emit('Round', [g.Mul(a, 5)]), g.emit('Sign', [a]))),
  ],
  ['bools', (g, { a, c }) => g.Where(g.And(g.Not(g.Less(a, 0)), g.LessOrEqual(a, c)), a, 2)],
  ['sums over dimensions', (g, { a }) => g.Add(g.ReduceSum(a, [1], true), g.ReduceMean(a, [0, 2], true))],
  ['norms', (g, { b }) => g.Sqrt(g.ReduceSumSquare(b, [1], false))],
  ['functions', (g, { b }) => g.Tanh(g.Mul(g.Exp(g.Neg(b)), g.Add(g.Sin(b), g.Cos(g.Log(b)))))],
  [
    'the error function',
    (g, { a, b }) => g.Add(g.Erf(g.Mul(a, 4)), g.Slice(g.Erf(g.Sub(b, 0.7)), [0, 0], [3, 4], [0, 1])),
  ],
  ['weights that sum to one', (g, { a }) => g.Softmax(a, 1)],
  [
    'the largest and their places',
    (g, { a }) => {
      const [values, places] = g.emitMany('TopK', [a, g.ints([2])], 2);
      return g.Add(values!, g.Cast(places!, 1));
    },
  ],
  ['the smallest', (g, { b }) => g.emitMany('TopK', [b, g.ints([3])], 2, { largest: 0 })[0]!],
  [
    'numbers put into places',
    (g, { a, c }) => g.emit('ScatterND', [a, g.constant(int64([1, 2, 0, 1], [2, 2])), g.Expand(g.Slice(c, [0], [2], [0]), [2, 4])]), // prettier-ignore
  ],
  ['choices', (g, { a }) => g.Where(g.Greater(a, 0), g.Relu(a), g.Pow(a, 2))],
])('%s', async (_, fragment) => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const entries = Object.entries(given) as [keyof Given, Tensor][];
  const values = Object.fromEntries(
    entries.map(([name, { dims }]) => [name, { name, type: 'float32', shape: dims }]),
  ) as unknown as Given;
  const result = fragment(g, values);
  const own = entries.filter(([name]) => g.nodes.some(({ input }) => input?.includes(name)));
  const feeds = Object.fromEntries(own);
  const model = modelFrom(
    g,
    own.map(([name]) => values[name]),
    [result],
  );
  const expected = (await runOnce(model, feeds))[result.name]!;
  const found = evaluate(
    g,
    own.map(([name, { data }]) => [values[name], data as Float32Array]),
    result,
  );
  expect(found).toHaveLength(expected.data.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(Number(expected.data[i]), 5));
});

it('an operator that is not known is named, with those that are', () => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const x: Value = { name: 'x', type: 'float32', shape: [2] };
  const result = g.Softplus(x);
  expect(() => evaluate(g, [[x, [1, 2]]], result)).toThrow(
    /The operator Softplus cannot be computed .* known are Abs, /,
  );
});
