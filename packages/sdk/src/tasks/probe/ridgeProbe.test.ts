/** @file Tests of heads that start as a probe. */

import { describe, expect, test } from 'vitest';
import { Random } from '../../runtime/random.ts';
import type { HeadFeatures, HeadValues } from '../../plugin/preparedTask.ts';
import { classProbe } from '../classification/classification.ts';
import { labelProbe } from '../classification/labelling.ts';
import { ridgeProbe } from './ridgeProbe.ts';

const WIDTH = 6;
const COUNT = 400;
const random = new Random(3);
// Features that hardly differ, as those of variants of one protein.
const data = Float32Array.from({ length: COUNT * WIDTH }, (_, i) => 0.5 + (i % WIDTH) + 0.02 * random.normal());
const features: HeadFeatures = { examples: [...Array(COUNT).keys()].map((i) => 10 + i), data, width: WIDTH };
/** The deviation of feature `i` of an example, in units of what it usually is. */
const at = (example: number, i: number): number => (data[(example - 10) * WIDTH + i]! - 0.5 - i) / 0.02;

function scoreOf({ weight, bias }: HeadValues, example: number, output: number): number {
  let sum = bias[output]!;
  for (let i = 0; i < WIDTH; i++) sum += weight[output * WIDTH + i]! * data[(example - 10) * WIDTH + i]!;
  return sum;
}

describe('numbers', () => {
  test('are found from features as they are', () => {
    const truth = (example: number): number[] => [2 * at(example, 0) - at(example, 3) + 7, at(example, 5)];
    const probe = ridgeProbe(features, truth);
    for (const example of [10, 77, 409])
      truth(example).forEach((value, output) => expect(scoreOf(probe, example, output)).toBeCloseTo(value, 1));
  });

  test('that were not measured are no example', () => {
    const truth = (example: number): number[] => [at(example, 0), at(example, 1) + 4];
    const probe = ridgeProbe(features, (example) =>
      truth(example).map((value, output) => (example % 3 === output ? Number.NaN : value)),
    );
    truth(100).forEach((value, output) => expect(scoreOf(probe, 100, output)).toBeCloseTo(value, 1));
    const none = ridgeProbe(features, (example) => [at(example, 0), Number.NaN]);
    expect(scoreOf(none, 100, 1)).toBe(0);
  });
});

test('classes and labels are scored on their side', () => {
  const isHigh = (example: number): number => Number(at(example, 2) > 0);
  const classes = classProbe(
    ridgeProbe(features, (example) => [1 - isHigh(example), isHigh(example)]),
    2,
  );
  const labels = labelProbe(ridgeProbe(features, (example) => [isHigh(example)]));
  let [right, given] = [0, 0];
  for (const example of features.examples) {
    const score = scoreOf(classes, example, 1) - scoreOf(classes, example, 0);
    if (score > 0 === (isHigh(example) === 1)) right++;
    if (scoreOf(labels, example, 0) > 0 === (isHigh(example) === 1)) given++;
    // With two classes, both are the same.
    expect(score).toBeCloseTo(scoreOf(labels, example, 0), 2);
  }
  expect(right).toBeGreaterThan(0.9 * COUNT);
  expect(given).toBeGreaterThan(0.9 * COUNT);
});
