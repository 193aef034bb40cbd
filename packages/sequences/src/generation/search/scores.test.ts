/** @file Scores of tokens. */

import { Random } from '@onnx-lora/sdk/data';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import { best, bestOf, drawn } from './scores.ts';

describe('scores', () => {
  const scores = Float32Array.of(1, -Infinity, 3, 3, NaN, 2);

  it('finds the best', () => {
    expect(best(scores)).toBe(2);
    expect(best(Float32Array.of(NaN, -Infinity))).toBe(-1);
    expect(bestOf(scores, 3)).toEqual([2, 3, 5]);
    expect(bestOf(scores, 9)).toEqual([2, 3, 5, 0]);
  });

  it('sums in the logarithm', () => {
    expect(logSumExp(Float32Array.of(1, 2, -Infinity))).toBeCloseTo(Math.log(Math.exp(1) + Math.exp(2)), 12);
    expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.log(2), 9);
    expect(logSumExp(new Float32Array())).toBe(-Infinity);
  });

  it('draws as often as softmax says, and the same again from the same seed', () => {
    const own = Float32Array.of(0, 1, -Infinity, 2);
    const temperature = 0.7;
    const weights = [...own].map((score) => Math.exp(score / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const count = 20_000;
    const sample = (): number[] => {
      const random = new Random(5);
      return Array.from({ length: count }, () => drawn(own, temperature, random));
    };
    const found = sample();
    weights.forEach((weight, token) => {
      const share = found.filter((each) => each === token).length / count;
      // Four deviations of a binomial share.
      expect(Math.abs(share - weight / total)).toBeLessThan(4 * Math.sqrt(0.25 / count));
    });
    expect(sample()).toEqual(found);
    expect(drawn(Float32Array.of(-Infinity), 1, new Random(1))).toBe(-1);
  });
});
