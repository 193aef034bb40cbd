/** @file What may be written next, beside transformers' processors and openai-whisper's rules. */

import { Random } from '@onnx-lora/sdk/core';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import golden from '../../fixtures/timestampRules.json' with { type: 'json' };
import { generationConfigOf } from '../generationConfig.ts';
import { rulesOf, timestampRules } from './logitRules.ts';
import { best, bestOf, drawn } from './scores.ts';

const allowed = (logits: Float32Array): number[] =>
  [...logits].flatMap((score, token) => (score > -Infinity ? [token] : []));

it('lets the times of WhisperTimeStampLogitsProcessor be written, and no others', () => {
  expect(golden.cases).toHaveLength(50);
  for (const { max, written, scores, allowed: wanted } of golden.cases) {
    const logits = Float32Array.from(scores);
    const own = max === null ? {} : { maxInitialTimestamp: max };
    timestampRules({ ends: [golden.end], noTimestamps: golden.noTimestamps, ...own })(logits, written, [1, 2]);
    expect(allowed(logits), JSON.stringify({ max, written })).toEqual(wanted);
  }
});

it('keeps back what is suppressed, at the beginning and always', () => {
  const own = { bos_token_id: 1, eos_token_id: 0, suppress_tokens: [2, 99], begin_suppress_tokens: [0, 3] };
  const rules = rulesOf(generationConfigOf({ own, config: {}, where: '' }), false);
  const after = (written: number[]): number[] => {
    const logits = new Float32Array(6);
    for (const rule of rules) rule(logits, written, [1]);
    return allowed(logits);
  };
  expect(after([])).toEqual([1, 4, 5]);
  expect(after([4])).toEqual([0, 1, 3, 4, 5]);
});

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
