/**
 * @file Graphs drawn at random: the gradients that training computes, with all rewrites and in all ways that save time or memory,
 * are those of the graph without any, and slopes of the loss in double precision.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DrawnModel } from '../../../../../test/support/randomGraphs.ts';
import {
  atWork,
  differing,
  type DrawnTraining,
  drawnTrainings,
  RandomTraining,
  type Saving,
  savings,
} from '../../../../../test/support/randomTraining.ts';
import { type TrainingRewrite, trainingRewrites } from './rewrites.ts';
import { isNightly } from '../../../../../test/support/nightly.ts';

const RUNS = isNightly ? 2000 : 20;

type Own = Partial<DrawnModel> & Partial<Omit<DrawnTraining, 'model'>>;

/** Sizes that decide nothing. */
const plain: Omit<DrawnModel, 'steps'> = {
  opset: 17,
  batch: 2,
  length: 6,
  width: 8,
  start: 'floats',
  end: 'all',
  classes: 3,
  hides: false,
  seed: 1,
};

/** A training of one step's graph, plain but for what is said. */
function training(op: DrawnModel['steps'][number]['op'], form: number, own: Own = {}): [DrawnTraining] {
  const { adapted = 4095, rank = 1, variant = 'plain', memory = 'auto', way = 'whole', ...sizes } = own;
  const model: DrawnModel = {
    ...plain,
    steps: [{ op, a: 0, b: 0, form }],
    ...sizes,
  };
  return [{ model, adapted, rank, variant, memory, way }];
}

/** Rare cases among random graphs, and former faults. */
const examples: [DrawnTraining][] = [
  // One cotangent of two values, below a product of 64 features.
  training('around', 0, { width: 64, adapted: 1 }),
  training('around', 2, { width: 72, adapted: 1, way: 'products' }),
  // Queries, keys and values of one input, whose gradients are one product.
  training('attention', 2, { way: 'products', adapted: 1 }),
  // GELU written out.
  training('mlp', 0, { width: 64, way: 'prefix', adapted: 4 }),
  // Rotary positions of 24 numbers, with queries that are scaled, and masks.
  training('attention', 1, { way: 'pieces' }),
  training('attention', 13, { memory: 20_000 }),
  // Attention in parts.
  training('attention', 0, { length: 20, memory: 20_000 }),
  // A head wider than what is summed over it.
  training('attention', 23, { way: 'sizes' }),
  // An example that is hidden as a whole, by Where and behind a guard.
  training('attention', 3, { hides: true }),
  training('attention', 16, { hides: true }),
  training('attention', 5, { hides: true }),
  // A mask of as many numbers as the scores.
  training('attention', 11, { hides: true, length: 2, end: 'first' }),
  // Weights that are multiplied with themselves, with a guard and without.
  training('attention', 34),
  training('attention', 28),
];

it('training computes the gradients of the plain graph, and slopes of the loss', { timeout: 4000 * RUNS }, async () => {
  const idle = new Set<TrainingRewrite | Saving>([...trainingRewrites, ...savings]);
  await fc.assert(
    fc.asyncProperty(drawnTrainings, async (drawn) => {
      const subject = new RandomTraining(drawn);
      const found = await subject.trained();
      expect(differing(found, await subject.plain())).toEqual([]);
      expect(await subject.offDifferences(found)).toEqual([]);
      const waiting = trainingRewrites.filter((rewrite) => idle.has(rewrite));
      for (const each of [...subject.seen, ...atWork(subject, waiting)]) idle.delete(each);
    }),
    { numRuns: RUNS, examples },
  );
  // Each is held to the plain graph by one of the graphs at least.
  expect([...idle]).toEqual([]);
});
