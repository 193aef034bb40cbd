/** @file Counts of classes give what single residues would. */

import { classMeasure } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/core';
import { expect, test } from 'vitest';
import { ClassCells } from './classCells.ts';
import { LetterClasses } from './residueClassReport.ts';

test('scores are those of all residues one by one', () => {
  const random = new Random(1);
  const residues = Array.from({ length: 500 }, (_, i) => ({ record: i % 7, truth: random.index(4), answer: random.index(4) })); // prettier-ignore
  const cells = new ClassCells(4);
  for (const { record, truth, answer } of residues) cells.add(record, truth, answer);
  const all = classMeasure({
    classes: 4,
    truths: residues.map(({ truth }) => truth),
    probabilities: residues.flatMap(({ answer }) => [0, 1, 2, 3].map((c) => Number(c === answer))),
  })();
  const { scores, intervals } = cells.scores(0);
  for (const name of ['accuracy', 'macroF1', 'balancedAccuracy', 'mcc'] as const)
    expect(scores[name]).toBeCloseTo(all[name], 12);
  const [low, high] = intervals()['accuracy']!;
  expect(low).toBeLessThan(scores.accuracy);
  expect(high).toBeGreaterThan(scores.accuracy);
  expect(cells.counts().flat().reduce((a, b) => a + b)).toBe(500); // prettier-ignore
});

test('scores equal those of scikit-learn 1.9', () => {
  const truths = [0, 0, 1, 2, 2, 2, 1, 0, 2, 1];
  const answers = [0, 1, 1, 2, 0, 2, 1, 0, 2, 2];
  const cells = new ClassCells(3);
  truths.forEach((truth, i) => cells.add(i % 2, truth, answers[i]!));
  const { accuracy, macroF1, balancedAccuracy, mcc } = cells.scores(0).scores;
  expect([accuracy, macroF1, balancedAccuracy, mcc]).toEqual([0.7, 0.6944444444444443, 0.6944444444444443, 0.5454545454545454].map((value) => expect.closeTo(value, 12))); // prettier-ignore
  expect(cells.counts()).toEqual([[2, 1, 0], [0, 2, 1], [1, 0, 3]]); // prettier-ignore
});

test('whole records are drawn for intervals: with one alone there are none', () => {
  const cells = new ClassCells(2);
  for (let i = 0; i < 50; i++) cells.add(0, i % 2, 0);
  expect(cells.scores(0).intervals()).toEqual({});
  cells.add(1, 1, 1);
  // Either record alone, or both: 0.5, 1, or what all 51 have.
  const [low, high] = cells.scores(0).intervals()['accuracy']!;
  expect([low, high]).toEqual([0.5, 1]);
});

test('the usual class of a letter is that of the training data, and of others the usual class of all', () => {
  const guess = new LetterClasses(3);
  guess.learn([5, 5, 6, 7], [1, 1, 2, Number.NaN]);
  guess.learn([5, 6], [0, 2]);
  guess.learn([8, 8], [1, 1]);
  expect(guess.majority).toBe(1);
  expect([5, 6, 7, 9].map((id) => guess.of(id))).toEqual([1, 2, 1, 1]);
});
