/**
 * @file Several updates of one place that are equal or 0: the numbers of torch 2.13's autograd of scatter_reduce. And places
 * that are found by NonZero.
 */

import { describe, expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import { type Composite, gradcheck } from '../../../../../test/support/gradcheck.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { float32, int64 } from '../../runtime/tensor.ts';

type Scatter = (g: GraphBuilder, data: Value, updates: Value, reduction: string) => Value;

/** Two updates of place 1, one of place 2, two of place 3, none of place 0. */
const places = [1, 1, 2, 3, 3];

describe.each<[string, Scatter]>([
  [
    'ScatterElements',
    (g, data, updates, reduction) => g.emit('ScatterElements', [data, g.ints(places), updates], { axis: 0, reduction }),
  ],
  [
    'ScatterND',
    (g, data, updates, reduction) =>
      g.emit('ScatterND', [data, g.constant(int64(places, [5, 1])), updates], { reduction }),
  ],
])('%s', (_, scatter) => {
  const gradients = async (reduction: string, data: number[], updates: number[]): Promise<number[][]> => {
    const graph = differentiated({ data: [4], updates: [5] }, ['data', 'updates'], (g, values) => {
      const y = scatter(g, values['data']!, values['updates']!, reduction);
      return g.ReduceSum(reduction === 'mul' ? g.Mul(y, g.constant(float32([1, 2, 3, 4], [4]))) : y, [0], false);
    });
    const found = await gradientValues(graph, { data: float32(data, [4]), updates: float32(updates, [5]) });
    return ['data', 'updates'].map((name) => [...(found[name]!.data as Float32Array)]);
  };
  const third = Math.fround(1 / 3);

  test('those who are the maximum or minimum share evenly', async () => {
    expect(await gradients('max', [1, 2, 0, 0], [2, 2, 0, 5, 3])).toEqual([
      [1, third, 0.5, 0],
      [third, third, 0.5, 1, 0],
    ]);
    expect(await gradients('min', [-1, -2, 0, 0], [-2, -2, 0, -5, -3])).toEqual([
      [1, third, 0.5, 0],
      [third, third, 0.5, 1, 0],
    ]);
  });

  test('a product with zeros among its factors', async () => {
    expect(await gradients('mul', [1, 2, 0, 0], [2, 2, 0, 5, 3])).toEqual([
      [1, 8, 0, 60],
      [8, 8, 0, 0, 0],
    ]);
    expect(await gradients('mul', [1, 2, 3, 0], [2, 0, 4, 5, 3])).toEqual([
      [1, 0, 12, 60],
      [0, 8, 9, 0, 0],
    ]);
  });
});

describe('places that only running tells', () => {
  /** Squares what is positive. */
  const squares: Composite = (g, [x]) => {
    const places = g.Transpose(g.emit('NonZero', [g.Cast(g.Greater(x!, 0), 6)]), [1, 0]);
    const chosen = g.emit('GatherND', [x!, places]);
    return g.emit('ScatterND', [g.Mul(x!, 3), places, g.Mul(chosen, chosen)]);
  };
  /** Rows whose first element is positive, doubled. */
  const rows: Composite = (g, [x]) => {
    const first = g.Gather(x!, g.scalar(0, 'int64'), 1);
    const places = g.emit('NonZero', [g.Cast(g.Greater(first, 0), 6)]);
    const chosen = g.Gather(x!, g.Squeeze(places, [0]), 0);
    return g.emit('ScatterND', [x!, g.Transpose(places, [1, 0]), g.Mul(chosen, chosen)]);
  };
  test.each([
    ['of elements', squares, 18],
    ['of elements, opset 13', squares, 13],
    ['of rows', rows, 18],
    ['of rows, opset 14', rows, 14],
  ] as const)('%s', async (_, build, opset) => {
    const inputs = [{ shape: [4, 3], domain: 'nonzero' }] as const;
    for (const { error, tolerance } of await gradcheck(build, { inputs, opset })) {
      expect(error).toBeLessThan(tolerance);
    }
  });
});
