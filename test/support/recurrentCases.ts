/** @file The numeric checks of the gradients of recurrent networks. */

import { type Cases, single } from './caseForms.ts';
import type { Case, Operand } from './gradcheck.ts';

/** X, W, R, B, lengths and first states for sequences of 4 positions, 2 of a batch, 3 features, 2 hidden units. */
const sequence = (gates: number, directions: number, ...rest: Operand[]): Operand[] => [
  [4, 2, 3],
  [directions, gates * 2, 3],
  [directions, gates * 2, 2],
  ...rest,
];
const bias = (gates: number, directions: number): Operand => [directions, gates * 4];
const first = (directions: number): Operand => [directions, 2, 2];
const both = { hidden_size: 2, direction: 'bidirectional' };

const lstm = (read: readonly number[], inputs: readonly Operand[], attributes: Case['attributes'] = {}): Case => ({
  inputs,
  attributes: { hidden_size: 2, ...attributes },
  outputs: 3,
  read,
});
const gru = (read: readonly number[], inputs: readonly Operand[], attributes: Case['attributes'] = {}): Case => ({
  inputs,
  attributes: { hidden_size: 2, ...attributes },
  outputs: 2,
  read,
});

/** A row per operator; a part of the whole table, whose type makes it complete. */
export const recurrentCases: Readonly<Record<'LSTM' | 'GRU', Cases>> = {
  LSTM: single(
    lstm([0], sequence(4, 1)),
    lstm([0, 1, 2], sequence(4, 1, bias(4, 1), undefined, first(1), first(1))),
    lstm([1], sequence(4, 1, bias(4, 1)), { direction: 'reverse' }),
    lstm([2], sequence(4, 1, undefined, undefined, first(1), first(1))),
    lstm([0, 1, 2], sequence(4, 2, bias(4, 2), undefined, first(2), first(2)), both),
    lstm([0], [[1, 2, 3], [1, 8, 3], [1, 8, 2]]),
    { ...lstm([0], sequence(4, 2, bias(4, 2)), both), opset: 11 },
  ),
  GRU: single(
    gru([0], sequence(3, 1)),
    gru([0], sequence(3, 1), { linear_before_reset: 1 }),
    gru([0, 1], sequence(3, 1, bias(3, 1), undefined, first(1))),
    gru([0, 1], sequence(3, 1, bias(3, 1), undefined, first(1)), { linear_before_reset: 1 }),
    gru([1], sequence(3, 1, bias(3, 1)), { direction: 'reverse', linear_before_reset: 1 }),
    gru([0, 1], sequence(3, 2, bias(3, 2), undefined, first(2)), both),
    gru([0, 1], sequence(3, 2, bias(3, 2), undefined, first(2)), { ...both, linear_before_reset: 1 }),
    gru([1], [[1, 2, 3], [1, 6, 3], [1, 6, 2]]),
  ),
}; // prettier-ignore
