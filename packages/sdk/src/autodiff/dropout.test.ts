/** @file Dropout in training mode draws again in each run, so its gradient is held against the output of the same run. */

import { expect, test } from 'vitest';
import { differentiated } from '../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../test/support/graphs.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';

const isTraining: Tensor = { type: 'bool', dims: [], data: Uint8Array.of(1) };

/** The sum of y², and y with it: dx = 2·y·(y/x) says what was dropped and how the rest was scaled. */
function square(g: GraphBuilder, x: Value, ratio: Value | undefined, outputs: number, training = isTraining): Value {
  const [y] = g.emitMany('Dropout', [x, ratio, g.constant(training)], outputs);
  return g.ReduceSum(g.Mul(y!, y!), [0], false);
}

test.each([
  ['with a ratio', 0.25],
  ['without', undefined],
])('what was dropped has no gradient, the rest is scaled as it was: %s', async (_, ratio) => {
  const { model, backward } = differentiated({ x: [64] }, ['x'], (g, { x }) =>
    square(g, x!, ratio === undefined ? undefined : g.scalar(ratio), 2),
  );
  const output = model.graph!.node!.find(({ opType }) => opType === 'Dropout')!.output![0]!;
  model.graph!.output!.push({ name: output });
  const x = Array.from({ length: 64 }, (__, i) => 1 + i / 64);
  const values = await runOnce(model, { x: float32(x, [64]) });
  const [y, dx] = [values[output]!, values[backward.gradients.get('x')!.name]!].map(({ data }) => data as Float32Array);
  x.forEach((value, i) => {
    expect([0, value / (1 - (ratio ?? 0.5))]).toContainEqual(expect.closeTo(y![i]!, 5));
    expect(dx![i]).toBeCloseTo((2 * y![i]! * y![i]!) / value, 4);
  });
  expect(y!.some((value) => value === 0)).toBe(true);
  expect(y!.some((value) => value !== 0)).toBe(true);
});

test('without the mask, what was dropped is not known', () => {
  const build = (training: Tensor) => (): unknown =>
    differentiated({ x: [4] }, ['x'], (g, { x }) => square(g, x!, undefined, 1, training));
  expect(build(isTraining)).toThrow(
    expect.objectContaining({ code: 'NO_GRADIENT', message: expect.stringContaining('does not say what it dropped') }),
  );
  expect(build({ ...isTraining, data: Uint8Array.of(0) })).not.toThrow();
});
