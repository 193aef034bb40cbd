/** @file Guesses by letter. */

import { expect, test } from 'vitest';
import { TokenFrequencies } from './tokenFrequencies.ts';

test('the usual class of a letter is that of the training data, and of others the usual class of all', () => {
  const guess = new TokenFrequencies(3);
  guess.learn([5, 5, 6, 7], [1, 1, 2, Number.NaN]);
  guess.learn([5, 6], [0, 2]);
  guess.learn([8, 8], [1, 1]);
  expect(guess.majority).toBe(1);
  expect([5, 6, 7, 9].map((id) => guess.of(id))).toEqual([1, 2, 1, 1]);
});
