/** @file Tests of the watch for divergence, on losses that are written down. */

import { expect, test } from 'vitest';
import { divergedMessage, DivergenceWatch } from './divergence.ts';

/** Steps that report a divergence, and the state at the end. */
function watched(losses: readonly number[], steps = losses.length, watch = new DivergenceWatch(steps)) {
  const told = losses.flatMap((loss, i) => watch.step(i + 1, loss)?.step ?? []);
  return { told, found: watch.state.found };
}
const repeated = (loss: number, count: number): number[] => Array.from({ length: count }, () => loss);

test('a loss that stays far above its start is told once, with step, start and loss', () => {
  const { told, found } = watched([...repeated(2, 20), ...repeated(48, 20)]);
  // Six of the last ten.
  expect(told).toEqual([26]);
  expect(found).toEqual({ step: 26, start: 2, loss: 48 });
  expect(divergedMessage({ step: 21, start: 2, loss: 48 }, 50)).toBe(
    'The run has diverged: after step 21 the loss is 48, and it began at 2. Train again with a lower learning rate, such as a tenth of it (5).',
  );
});

test('a short run is judged by three steps, one of fewer than twelve that has no two windows by none', () => {
  expect(watched([2, 2, 2, 3, 2, 9, 9, 9, 9, 9, 9, 9]).told).toEqual([7]);
  expect(watched([2, 9, 9, 9, 9]).told).toEqual([]);
});

test('a run that diverges with its first step is told by the loss before it', () => {
  expect(watched([0.3, ...repeated(48, 15)])).toEqual({ told: [7], found: { step: 7, start: 0.3, loss: 48 } });
  // Untrained heads of many classes, and batches of one example, begin anywhere below.
  expect(watched([0.3, ...repeated(4.6, 39)]).told).toEqual([]);
  expect(watched([12, ...repeated(20, 39)]).told).toEqual([]);
});

test('noise, a loss that falls, a small loss and a spike that is over are none', () => {
  const noisy = Array.from({ length: 200 }, (_, i) => 2 + 1.5 * Math.sin(i * 7));
  expect(watched(noisy)).toEqual({ told: [], found: undefined });
  expect(watched(Array.from({ length: 50 }, (_, i) => 5 / (i + 1))).told).toEqual([]);
  expect(watched([...repeated(0.001, 20), ...repeated(0.3, 20)]).told).toEqual([]);
  // One batch of ten is no divergence, however bad it is.
  expect(watched([...repeated(2, 20), 1e6, ...repeated(2, 20)]).told).toEqual([]);
  const spike = watched([...repeated(2, 20), ...repeated(9, 8), ...repeated(1, 30)]);
  expect([spike.told.length, spike.found]).toEqual([1, undefined]);
});

test('a run that continues knows its start; a held-out loss that is no number is told', () => {
  const first = new DivergenceWatch(40);
  watched(repeated(2, 15), 40, first);
  const second = new DivergenceWatch(40, structuredClone(first.state));
  expect(watched(repeated(48, 15), 40, second).told).toEqual([6]);
  const held = new DivergenceWatch(40);
  watched(repeated(2, 15), 40, held);
  expect(held.measured(15, undefined)).toBeUndefined();
  expect(held.measured(15, 7)).toBeUndefined();
  expect(held.measured(15, NaN)).toEqual({ step: 15, start: 2, loss: NaN });
});
