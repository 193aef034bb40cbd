/** @file Tests of what is said of an adapter: numbers by hand, binomial quantiles, and a bootstrap of the differences themselves. */

import { expect, test } from 'vitest';
import { Random } from '../runtime/random.ts';
import { bootstrapDraws, bootstrapInterval, differenceOf, intervalsOf } from './bootstrap.ts';
import { meanMeasure } from './measure.ts';
import { numberMeasure } from './numberMeasure.ts';
import { type ComparedMeasurement, verdictOf } from './verdict.ts';

/** Which of some examples are answered rightly. */
function measured(isRight: readonly number[], seed = 0): ComparedMeasurement {
  const measure = meanMeasure({ accuracy: isRight });
  return { metrics: measure(), draws: bootstrapDraws(measure, isRight.length, { seed }) };
}

/** So many of `count` are 1, the first ones from `from` on. */
function some(ones: number, count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => Number(i >= from && i < from + ones));
}

test('the interval of a difference is that of the differences example by example', () => {
  const random = new Random(5);
  const [a, b] = [0, 1].map(() => Array.from({ length: 80 }, () => Number(random.uniform(0, 1) < 0.6)));
  const differences = a!.map((each, i) => each - b![i]!);
  const found = verdictOf(measured(a!), { other: measured(b!) })!;
  const direct = bootstrapInterval(meanMeasureOf(differences), differences.length);
  found.interval!.forEach((end, i) => expect(end).toBeCloseTo(direct[i]!, 12));
});

function meanMeasureOf(values: readonly number[]): (times: Uint32Array) => number {
  return (times) => values.reduce((sum, value, i) => sum + value * times[i]!, 0) / values.length;
}

test('what is shown, by binomial quantiles', () => {
  // Ten of 100 are right with the adapter alone: of 100 draws with p = 0.1, scipy.stats.binom.ppf([0.025, 0.975]) = [5, 16].
  const helps = verdictOf(measured(some(70, 100)), { base: measured(some(60, 100)), chance: measured(some(10, 100)) })!;
  expect(helps).toMatchObject({
    outcome: 'helps',
    metric: 'accuracy',
    adapted: 0.7,
    baseline: { name: 'base', value: 0.6 },
  });
  expect(helps.interval![0]).toBeCloseTo(0.05, 1.9);
  expect(helps.interval![1]).toBeCloseTo(0.16, 1.9);
  expect(helps.text).toBe(
    'accuracy 0.7 with LoRA, 0.6 with base; difference +0.1 (95%: +0.05 to +0.16): LoRA is shown to help.',
  );
  expect(verdictOf(measured(some(60, 100)), { base: measured(some(70, 100)) })).toMatchObject({ outcome: 'harms' });
  // None of three in favour is drawn with a probability of 0.97¹⁰⁰ = 0.048, which is more than 0.025.
  const chance = verdictOf(measured(some(63, 100)), { base: measured(some(60, 100)) })!;
  expect(chance).toMatchObject({ outcome: 'undecided', interval: [0, expect.any(Number)] });
  // As many right, but others: nothing is shown, though each is as good as the other.
  expect(verdictOf(measured(some(60, 100, 20)), { base: measured(some(60, 100)) })!.outcome).toBe('undecided');
});

test('lower is better of losses, and the best baseline is the lowest', () => {
  const of = (size: number): ComparedMeasurement => {
    const truths = Array.from({ length: 40 }, (_, i) => i);
    const measure = numberMeasure(
      truths.map((truth, i) => truth + size * (1 + (i % 3))),
      truths,
    );
    return { metrics: measure(), draws: bootstrapDraws(measure, truths.length) };
  };
  const found = verdictOf(of(1), { mean: of(3), ridge: of(2) }, { metric: { name: 'rmse' } })!;
  expect(found).toMatchObject({ outcome: 'helps', baseline: { name: 'ridge' } });
  expect(found.difference).toBeLessThan(0);
  // Higher on request.
  expect(verdictOf(of(1), { mean: of(3), ridge: of(2) }, { metric: { name: 'rmse', better: 'higher' } })).toMatchObject({ outcome: 'harms', baseline: { name: 'mean' } }); // prettier-ignore
});

test('too few examples show nothing, however sure a bootstrap of them is', () => {
  const found = verdictOf(measured([1, 1, 1, 1, 1]), { base: measured([0, 0, 0, 0, 0]) })!;
  expect(found).toMatchObject({ outcome: 'undecided', difference: 1 });
  expect(found).not.toHaveProperty('interval');
  expect(found.text).toContain('no interval: 5 held-out examples are too few');
  expect(verdictOf(measured(some(6, 6)), { base: measured(some(0, 6)) })!.outcome).toBe('helps');
});

test('without draws, or with draws of other sets, there is no interval', () => {
  const alone = { metrics: { accuracy: 0.9 } };
  expect(verdictOf(alone, { base: { metrics: { accuracy: 0.1 } } })!.text).toContain(
    'the task measures no single examples',
  );
  const [a, b] = [measured(some(60, 100)), measured(some(60, 99))];
  expect(differenceOf(a.draws!['accuracy'], b.draws!['accuracy'])).toBeUndefined();
  expect(differenceOf(a.draws!['accuracy'], measured(some(60, 100), 1).draws!['accuracy'])).toBeUndefined();
  expect(verdictOf(a, {})).toBeUndefined();
  expect(verdictOf(a, { none: { metrics: { accuracy: Number.NaN } } })).toBeUndefined();
});

test('a metric that is undefined in many sets has draws and no interval', () => {
  const draws = bootstrapDraws((times) => ({ one: times[0]! > 0 ? 1 : Number.NaN }), 5);
  expect(draws['one']!.values).toHaveLength(1000);
  expect(intervalsOf(draws)).toEqual({});
});
