/** @file Whether the best of many is better than the base: intervals against coverage by simulation, identities, and numbers by hand. */

import { Random } from '@onnx-lora/sdk/data';
import { bootstrapDraws, bootstrapInterval, type Drawn, meanMeasure } from '@onnx-lora/sdk/tasks';
import { expect, it } from 'vitest';
import { againstBase, type DrawnTrial, meanOfDraws } from './againstBase.ts';

/** A trial whose examples are better by these. */
function trial(differences: readonly number[], samples = 1000): DrawnTrial {
  const measure = meanMeasure({ by: differences });
  return {
    base: 0.5,
    difference: measure()['by'],
    drawn: bootstrapDraws(measure, differences.length, { samples })['by'],
  };
}

const random = new Random(4);
const noise = (count: number, mean = 0): number[] => Array.from({ length: count }, () => mean + random.normal());

it('of one configuration has the percentile interval', () => {
  const differences = noise(40, 0.2);
  const [found] = againstBase([[trial(differences)]]);
  const plain = bootstrapInterval((times) => differences.reduce((sum, each, i) => sum + each * times[i]!, 0) / 40, 40);
  found!.interval!.forEach((end, i) => expect(end).toBeCloseTo(plain[i]!, 2));
  expect(found).toMatchObject({ base: 0.5, difference: trial(differences).difference });
});

it('is wider the more there are to choose from, but for configurations that are alike', () => {
  const width = (of: readonly number[][]): number => {
    const [low, high] = againstBase(of.map((each) => [trial(each)]))[0]!.interval!;
    return high - low;
  };
  const own = noise(60);
  const alone = width([own]);
  expect(width([own, own, own.map((each) => 2 * each + 1)])).toBeCloseTo(alone, 2);
  const many = width([own, ...Array.from({ length: 19 }, () => noise(60))]);
  // Šidák's normal quantile for 20 independent ones is 3.02, instead of 1.96.
  expect(many / alone).toBeGreaterThan(1.3);
  expect(many / alone).toBeLessThan(1.75);
});

it('says that one is better where none is no more often than in one of twenty sweeps', () => {
  let [corrected, single] = [0, 0];
  const sweeps = 120;
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const all = Array.from({ length: 10 }, () => [trial(noise(30), 200)]);
    const isBetter = (found: ReturnType<typeof againstBase>): boolean => found.some((each) => each!.interval![0] > 0);
    if (isBetter(againstBase(all))) corrected++;
    if (isBetter(all.flatMap((each) => againstBase([each])))) single++;
  }
  // Both ends count, so that 2.5% are to be expected, and a little more of a bootstrap of 30; without the correction 22%.
  expect(corrected / sweeps).toBeLessThan(0.08);
  expect(single / sweeps).toBeGreaterThan(0.15);
});

it('keeps to what the metric can be, however few seeds there are', () => {
  // Student's t of these two has the 95% interval −0.39 to 0.89.
  const drawn = [0.2, 0.3].map((share) => trial(Array.from({ length: 20 }, (_, i) => Number(i < share * 20))).drawn!);
  const { values } = meanOfDraws(drawn)!;
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThanOrEqual(1);
  // Draws of seeds and of examples: both variances, p (1 − p) / 20 at p = 0.2 or 0.3, and the half of the squared distance by two.
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length;
  expect(mean).toBeCloseTo(0.25, 1);
  expect(variance).toBeGreaterThan(0.0025 / 2);
});

it('has no interval of too few examples, or without draws', () => {
  const [few] = againstBase([[trial([1, 1, 1, 1, 1])]]);
  expect(few).toEqual({ base: 0.5, difference: 1 });
  const none: DrawnTrial = { base: 0.5, difference: 0.2, drawn: undefined };
  expect(againstBase([[none], [], [trial(noise(20))]])).toEqual([{ base: 0.5, difference: 0.2 }, undefined, expect.objectContaining({ interval: expect.any(Array) })]); // prettier-ignore
  const one: Drawn = { units: 9, seed: 0, values: Float64Array.of(1, 2) };
  expect(meanOfDraws([one, undefined])).toBeUndefined();
});
