/** @file Values that bring their derivatives along. */

import { expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import { float32 } from '../runtime/tensor.ts';

const x = float32([1, 2, 3, 4], [2, 2]);

test('a known derivative takes the place of the rules', async () => {
  const graph = differentiated({ x: [2, 2] }, ['x'], (g, inputs) => {
    // Sums of rows, said to rise by 10 with each first element and by 20 with each second.
    const gradient = g.constant(float32([10, 20], [1, 2]));
    const rows = g.withGradient(g.ReduceSum(inputs['x']!, [1], true), [{ by: inputs['x']!, gradient }]);
    return g.ReduceSum(g.Mul(rows, rows), [0, 1], false);
  });
  // The sums are 3 and 7, so that the loss rises by 6 and 14 with each.
  expect([...(await gradientValues(graph, { x }))['x']!.data]).toEqual([60, 120, 140, 280]);
});

test('it adds to what comes by other ways, and may be by several values', async () => {
  const graph = differentiated({ x: [2, 2], y: [2, 2] }, ['x', 'y'], (g, inputs) => {
    const [a, b] = [inputs['x']!, inputs['y']!];
    const whole = g.ReduceSum(g.Mul(a, b), [0, 1], true);
    const known = g.withGradient(whole, [
      { by: a, gradient: g.Mul(b, 2) },
      { by: b, gradient: a },
    ]);
    return g.Add(g.ReduceSum(known, [0, 1], false), g.ReduceSum(a, [0, 1], false));
  });
  const found = await gradientValues(graph, { x, y: float32([5, 6, 7, 8], [2, 2]) });
  expect([...found['x']!.data]).toEqual([11, 13, 15, 17]);
  expect([...found['y']!.data]).toEqual([1, 2, 3, 4]);
});

test('by what is not trained, nothing is computed', () => {
  const graph = differentiated({ x: [2, 2], y: [2, 2] }, ['y'], (g, inputs) => {
    const known = g.withGradient(g.ReduceSum(inputs['x']!, [0, 1], true), [
      { by: inputs['x']!, gradient: inputs['x']! },
    ]);
    return g.ReduceSum(g.Mul(known, inputs['y']!), [0, 1], false);
  });
  expect([...graph.backward.gradients.keys()]).toEqual(['y']);
  expect(graph.text).not.toContain('Mul(g/Mul');
});
