/** @file Tests of what is kept of the last half hour, on a clock that is set. */

import { expect, it } from 'vitest';
import { History, SPAN, SPANS } from './history.ts';

it('keeps spans apart, and forgets those of more than half an hour ago', () => {
  let now = 1_000_000 * SPAN;
  const history = new History(() => now);
  const told = (): unknown[] => history.moments.flatMap((each, i) => (each.answered + each.refused + each.failed > 0 ? [[SPANS - 1 - i, each]] : [])); // prettier-ignore
  expect(history.moments).toHaveLength(SPANS);
  history.ended('answered', 10);
  history.ended('refused', 30);
  now += SPAN - 1;
  history.ended('failed', 20);
  expect(told()).toEqual([[0, { answered: 1, refused: 1, failed: 1, mean: 20 }]]);
  now += 1;
  history.ended('answered', 5);
  expect(told()).toEqual([[1, { answered: 1, refused: 1, failed: 1, mean: 20 }], [0, { answered: 1, refused: 0, failed: 0, mean: 5 }]]); // prettier-ignore
  now += (SPANS - 1) * SPAN;
  expect(told()).toEqual([[SPANS - 1, { answered: 1, refused: 0, failed: 0, mean: 5 }]]);
  history.ended('answered', 7);
  expect(told()).toHaveLength(2);
  now += SPANS * SPAN;
  expect(told()).toEqual([]);
});
