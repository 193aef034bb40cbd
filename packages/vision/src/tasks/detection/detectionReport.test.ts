/** @file Test of the kinds of mistakes, counted by hand. */

import { expect, test } from 'vitest';
import { mistakesIn } from './detectionReport.ts';

const at = (label: number, x: number, score = 1) => ({ label, score, box: [x, 0, 10, 10] as const });

test('each object is right, confused, badly placed, invented or missed, once', () => {
  const truths = [at(0, 0), at(1, 20), at(1, 40), at(2, 60), { ...at(0, 80), crowd: true }];
  const found = [
    at(0, 1, 0.9), // right
    at(0, 0, 0.5), // the same again: invented
    at(2, 21, 0.8), // confused
    at(1, 46, 0.7), // overlaps by a quarter: badly placed
    at(0, 200, 0.6), // invented
  ];
  expect(mistakesIn(truths, found)).toEqual({ right: 1, confused: 1, misplaced: 1, invented: 2, missed: 1 });
  expect(mistakesIn([], [])).toEqual({ right: 0, confused: 0, misplaced: 0, invented: 0, missed: 0 });
});
