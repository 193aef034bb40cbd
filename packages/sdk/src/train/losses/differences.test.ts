/** @file The gradients of losses, which are formulas of their own, against finite differences in float64. */

import { describe, expect, it } from 'vitest';
import { type Case, type Composite, gradcheck } from '../../../../../test/support/gradcheck.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import * as losses from './index.ts';

const P = -100;

/** Labels as a constant, so that the other inputs are what is differentiated by. */
const labels = (dims: readonly number[], ...ints: number[]): Case['inputs'][number] => ({ ints, dims });

const none = { reduction: 'none' } as const;

type Row = readonly [name: string, inputs: Case['inputs'], build: (g: GraphBuilder, ...inputs: Value[]) => Value];

const rows: readonly Row[] = [
  ['cross-entropy', [[2, 3, 5], labels([2, 3], 1, 4, 0, P, 2, 2)], (g, x, y) => losses.crossEntropy(g, x!, y!)],
  [
    'cross-entropy, smoothed and weighted',
    [[4, 3], labels([4], 1, P, 0, 2)],
    (g, x, y) => losses.crossEntropy(g, x!, y!, { labelSmoothing: 0.3, weight: [0.5, 2, 1], ...none }),
  ],
  [
    'cross-entropy beside another loss of the same scores',
    [[4, 3], labels([4], 1, 1, 0, 2)],
    (g, x, y) =>
      losses.weightedSum(g, [
        [0.3, losses.crossEntropy(g, x!, y!)],
        [2, losses.softmaxFocal(g, g.Mul(x!, x!), y!, { gamma: 2.5 })],
        [1, losses.meanSquaredError(g, x!, g.Mul(x!, x!))],
      ]),
  ],
  ['binary cross-entropy', [[2, 3]], (g, x) => losses.binaryCrossEntropy(g, x!, g.stopGradient(g.Sigmoid(g.Mul(x!, 0))), { posWeight: 3, ...none })], // prettier-ignore
  [
    'Huber’s loss',
    [
      [3, 4],
      [3, 4],
    ],
    (g, a, b) => losses.huber(g, a!, b!, { delta: 0.7, ...none }),
  ],
  [
    'InfoNCE',
    [
      [3, 4],
      [3, 4],
    ],
    (g, a, b) => losses.infoNce(g, a!, b!),
  ],
  ['dice', [[2, 2, 3]], (g, x) => losses.dice(g, x!, g.stopGradient(g.Sigmoid(g.Mul(x!, 0))), { activation: 'softmax', ...none })], // prettier-ignore
  [
    'CTC',
    [[3, 6, 4], labels([3, 3], 1, 1, 2, 3, P, P, P, P, P), labels([3], 6, 4, 5)],
    (g, x, y, inputLengths) => losses.ctc(g, x!, y!, { inputLengths: inputLengths!, ...none }),
  ],
  [
    'CTC with labels that do not fit',
    [[2, 3, 3], labels([2, 2], 1, 1, 2, 2), labels([2], 3, 2)],
    (g, x, y, inputLengths) => losses.ctc(g, x!, y!, { inputLengths: inputLengths!, zeroInfinity: true }),
  ],
];

describe('the gradient is the slope of', () => {
  it.each(rows)('%s', async (_, inputs, build) => {
    const composite: Composite = (g, values) => build(g, ...values);
    const errors = await gradcheck(composite, { inputs });
    expect(errors.length).toBeGreaterThan(0);
    for (const { input, error, tolerance } of errors) expect(error, `input ${input}`).toBeLessThan(tolerance);
  });
});
