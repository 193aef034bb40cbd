/** @file Allowed next tokens, against transformers' processors and openai-whisper's rules. */

import { GenerationFile } from '@onnx-lora/sequences';
import { expect, it } from 'vitest';
import golden from '../fixtures/timestampRules.json' with { type: 'json' };
import { generationConfigOf } from './generationConfig.ts';
import { rulesOf, timestampRules } from './decodingRules.ts';

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
  const rules = rulesOf(generationConfigOf(new GenerationFile({ own, config: {}, where: '' })), false);
  const after = (written: number[]): number[] => {
    const logits = new Float32Array(6);
    for (const rule of rules) rule(logits, written, [1]);
    return allowed(logits);
  };
  expect(after([])).toEqual([1, 4, 5]);
  expect(after([4])).toEqual([0, 1, 3, 4, 5]);
});
