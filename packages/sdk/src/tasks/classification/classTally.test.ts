/** @file Counts of classes give what single answers would. */

import { expect, test } from 'vitest';
import { Random } from '../../runtime/random.ts';
import { intervalsOf } from '../../statistics/bootstrap.ts';
import { classMeasure } from '../../statistics/classMeasure.ts';
import { ClassTally } from './classificationMetrics.ts';

type Counted = Readonly<Record<'accuracy' | 'macroF1' | 'balancedAccuracy' | 'mcc', number>>;
const tallyOf = (classes: number): ClassTally<Counted> =>
  new ClassTally({
    labels: Array.from({ length: classes }, (_, c) => String(c)),
    metrics: ['accuracy', 'macroF1', 'balancedAccuracy', 'mcc'],
  });

test('scores are those of all residues one by one', () => {
  const random = new Random(1);
  const residues = Array.from({ length: 500 }, (_, i) => ({ record: i % 7, truth: random.index(4), answer: random.index(4) })); // prettier-ignore
  const cells = tallyOf(4);
  for (const { record, truth, answer } of residues) cells.count(record, truth, answer);
  const all = classMeasure({
    classes: 4,
    truths: residues.map(({ truth }) => truth),
    probabilities: residues.flatMap(({ answer }) => [0, 1, 2, 3].map((c) => Number(c === answer))),
  })();
  const scores = cells.result();
  for (const name of ['accuracy', 'macroF1', 'balancedAccuracy', 'mcc'] as const)
    expect(scores[name]).toBeCloseTo(all[name], 12);
  const [low, high] = intervalsOf(cells.draws())['accuracy']!;
  expect(low).toBeLessThan(scores.accuracy);
  expect(high).toBeGreaterThan(scores.accuracy);
  expect(cells.confusion().counts.flat().reduce((a, b) => a + b)).toBe(500); // prettier-ignore
});

test('scores equal those of scikit-learn 1.9', () => {
  const truths = [0, 0, 1, 2, 2, 2, 1, 0, 2, 1];
  const answers = [0, 1, 1, 2, 0, 2, 1, 0, 2, 2];
  const cells = tallyOf(3);
  truths.forEach((truth, i) => cells.count(i % 2, truth, answers[i]!));
  const { accuracy, macroF1, balancedAccuracy, mcc } = cells.result();
  expect([accuracy, macroF1, balancedAccuracy, mcc]).toEqual([0.7, 0.6944444444444443, 0.6944444444444443, 0.5454545454545454].map((value) => expect.closeTo(value, 12))); // prettier-ignore
  expect(cells.confusion().counts).toEqual([[2, 1, 0], [0, 2, 1], [1, 0, 3]]); // prettier-ignore
});

test('whole records are drawn for intervals: with one alone there are none', () => {
  const cells = tallyOf(2);
  for (let i = 0; i < 50; i++) cells.count(0, i % 2, 0);
  expect(intervalsOf(cells.draws())).toEqual({});
  cells.count(1, 1, 1);
  // Either record alone, or both: 0.5, 1, or what all 51 have.
  const [low, high] = intervalsOf(cells.draws())['accuracy']!;
  expect([low, high]).toEqual([0.5, 1]);
});
