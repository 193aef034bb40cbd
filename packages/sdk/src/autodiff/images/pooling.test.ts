/** @file Where a maximum is reached several times or a norm is 0: the numbers of torch 2.13's autograd. */

import { expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import type { Attributes } from '../../graph/attributes.ts';
import { float32 } from '../../runtime/tensor.ts';

async function gradientOf(op: string, values: readonly number[], attributes: Attributes = {}): Promise<number[]> {
  const shape = [1, 1, values.length];
  const graph = differentiated({ x: shape }, ['x'], (g, { x }) =>
    g.ReduceSum(g.emit(op, [x!], attributes), [0, 1, 2], false),
  );
  return [...((await gradientValues(graph, { x: float32(values, shape) }))['x']!.data as Float32Array)];
}

test('MaxPool gives all to the first maximum of a window', async () => {
  // max_pool1d(x, 3, stride=2)
  const attributes = { kernel_shape: [3], strides: [2] };
  expect(await gradientOf('MaxPool', [1, 3, 3, 0, 3, 3, 3, 2], attributes)).toEqual([0, 1, 1, 0, 1, 0, 0, 0]);
});

test('MaxPool takes padding for no maximum, however small the values', async () => {
  const attributes = { kernel_shape: [3], strides: [2], pads: [1, 1] };
  expect(await gradientOf('MaxPool', [-1e30, -3e38, -2e38], attributes)).toEqual([1, 0, 1]);
});

test('GlobalMaxPool gives all to the first maximum', async () => {
  expect(await gradientOf('GlobalMaxPool', [2, 5, 1, 5])).toEqual([0, 1, 0, 0]);
});

test('LpPool is flat where all of a window is 0', async () => {
  // lp_pool1d(x, 2, 3)
  const found = await gradientOf('LpPool', [0, 0, 0, 3, 0, 4], { kernel_shape: [3], strides: [3] });
  [0, 0, 0, 0.6, 0, 0.8].forEach((value, i) => expect(found[i]).toBeCloseTo(value, 6));
});
