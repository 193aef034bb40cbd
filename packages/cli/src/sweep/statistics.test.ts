/** @file Means, intervals and tests, against tables of Student's t, scipy, and numbers by hand. */

import { describe, expect, it } from 'vitest';
import { deviationOf, holm, intervalOfMean, pairedTest, tDistribution, tQuantile } from './statistics.ts';

describe("Student's t", () => {
  // scipy.stats.t.ppf(0.975, n)
  it.each([
    [1, 12.706204736174694],
    [2, 4.302652729749462],
    [4, 2.7764451051977934],
    [9, 2.262157162798205],
    [29, 2.045229642132703],
  ])('%d degrees of freedom: 97.5%% lie below %d', (freedom, t) => {
    expect(tQuantile(0.975, freedom)).toBeCloseTo(t, 10);
    expect(tDistribution(t, freedom)).toBeCloseTo(0.975, 12);
    expect(tDistribution(-t, freedom)).toBeCloseTo(0.025, 12);
  });

  it('of one and two degrees has closed forms', () => {
    for (const t of [-3, -0.4, 0.1, 2.5, 40]) {
      expect(tDistribution(t, 1)).toBeCloseTo(0.5 + Math.atan(t) / Math.PI, 12);
      expect(tDistribution(t, 2)).toBeCloseTo(0.5 + t / (2 * Math.sqrt(2 + t * t)), 12);
    }
  });
});

describe('pairs', () => {
  // By hand: differences 0.05, 0.04, 0.01, 0.06; mean 0.04, s² = 0.0014 / 3, standard error √(0.0014 / 12) = 0.010801.
  const differences = [0.71 - 0.66, 0.74 - 0.7, 0.69 - 0.68, 0.75 - 0.69];

  it('are tested as scipy.stats.ttest_rel does', () => {
    const { difference, p, interval, pairs } = pairedTest(differences);
    expect(pairs).toBe(4);
    expect(difference).toBeCloseTo(0.04, 12);
    expect(p).toBeCloseTo(0.03420018039612882, 10);
    const reach = 3.182446305284263 * Math.sqrt(0.0014 / 12);
    expect(interval![0]).toBeCloseTo(0.04 - reach, 10);
    expect(interval![1]).toBeCloseTo(0.04 + reach, 10);
  });

  it('that share training data have the wider error of Nadeau and Bengio', () => {
    // t = 0.04 / √((1/4 + 1/4) · 0.0014 / 3): √2 times smaller, which by the closed form for 3 degrees of freedom has this p.
    const t = 0.04 / Math.sqrt((0.5 * 0.0014) / 3);
    const x = t / Math.sqrt(3);
    const below = 0.5 + (Math.atan(x) + x / (1 + x * x)) / Math.PI;
    const { p, interval } = pairedTest(differences, { ratio: 0.25 });
    expect(p).toBeCloseTo(2 * (1 - below), 10);
    expect(interval![1] - interval![0]).toBeCloseTo(2 * 3.182446305284263 * Math.sqrt((0.5 * 0.0014) / 3), 10);
  });

  it('of one, or without any spread, say nothing of chance', () => {
    expect(pairedTest([0.1])).toEqual({ pairs: 1, difference: 0.1 });
    expect(pairedTest([0.25, 0.25])).toEqual({ pairs: 2, difference: 0.25 });
    expect(pairedTest([0, 0])).toEqual({ pairs: 2, difference: 0, interval: [0, 0], p: 1 });
  });
});

it('a mean of three has the interval of the tables', () => {
  // Mean 2, s = 1: 2 ± 4.3027 / √3.
  expect(deviationOf([1, 2, 3])).toBe(1);
  const [low, high] = intervalOfMean([1, 2, 3])!;
  expect(low).toBeCloseTo(2 - 4.302652729749462 / Math.sqrt(3), 10);
  expect(high).toBeCloseTo(2 + 4.302652729749462 / Math.sqrt(3), 10);
  expect(intervalOfMean([1])).toBeUndefined();
});

it('several tests are held to more, as Holm has it', () => {
  // Sorted 0.01, 0.03, 0.04 times 3, 2, 1 is 0.03, 0.06, 0.04, and none is below the one before.
  expect(holm([0.04, 0.01, 0.03]).map((p) => Number(p.toFixed(12)))).toEqual([0.06, 0.03, 0.06]);
  expect(holm([0.9, 0.8])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
});
