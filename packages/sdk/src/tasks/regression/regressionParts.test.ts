/** @file The regression loss with some unmeasured numbers, against one computed by hand. */

import { expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { float32 } from '../../runtime/tensor.ts';
import { regressionParts, valueTargets } from './regressionParts.ts';

const targets = [[10, 1], [14, Number.NaN], [12, 3]]; // prettier-ignore
const labels = ['melting', 'yield'];
const answers = [0.5, -0.5, 2, 3, -0.25, 0.75];
// For 10, 14, 12 and for 1, 3.
const [means, deviations] = [[12, 2], [Math.sqrt(8 / 3), 1]]; // prettier-ignore

/** The loss of all examples, and its gradient by the answers. */
async function lossOf(isNew: boolean, kind: 'mse' | 'huber'): Promise<{ loss: number; gradient: number[] }> {
  const head = { output: 'y', labels, ...(isNew && { head: { output: 'y', labels } }) };
  const parts = regressionParts({ head, targets, loss: kind });
  if (isNew) expect(parts.head!.targetScaling).toEqual({ factor: deviations, offset: means });
  else expect(parts.head).toBeUndefined();
  const { values, known } = valueTargets(targets, 2, true);
  const feeds = { y: float32(answers, [3, 2]) };
  const graph = differentiated({ y: [3, 2] }, ['y'], (g, { y }) =>
    parts.loss(g, { y: y! }, { values: g.constant(values!), known: g.constant(known!) }),
  );
  const { y } = await gradientValues(graph, feeds);
  const [loss] = Object.values(await runOnce(graph.model, feeds));
  expect(parts.lossWeight({ values: values!, known: known! })).toBe(5);
  return { loss: Number(loss!.data[0]), gradient: Array.from(y!.data as Float32Array) };
}

test.each([
  [true, 'mse'],
  [true, 'huber'],
  [false, 'mse'],
] as const)('new head: %s, %s', async (isNew, kind) => {
  const { loss, gradient } = await lossOf(isNew, kind);
  const costs = targets.flat().map((target, i) => {
    const [mean, deviation] = [means[i % 2]!, deviations[i % 2]!];
    const error = (isNew ? answers[i]! : (answers[i]! - mean) / deviation) - (target - mean) / deviation;
    const size = Math.abs(error);
    return Number.isNaN(error) ? 0 : kind === 'mse' ? error * error : size < 1 ? (error * error) / 2 : size - 0.5;
  });
  expect(loss).toBeCloseTo(costs.reduce((a, b) => a + b, 0) / 5, 5);
  expect(gradient[3]).toBe(0);
  expect(gradient.filter((value) => value !== 0)).toHaveLength(5);
});

test('without gaps every number counts', () => {
  expect(Object.keys(valueTargets([[1], [2]], 1))).toEqual(['values']);
  const parts = regressionParts({ head: { output: 'y', labels: ['value'] }, targets: [[4], [4]] });
  expect(parts.lossWeight(valueTargets([[1], [2]], 1))).toBe(2);
});
