/** @file Rules for logits leave what transformers' processors leave, in the order of `generate`. */

import { expect, it } from 'vitest';
import golden from '../../fixtures/logitRules.json' with { type: 'json' };
import { logitRules } from './logitRules.ts';
import { samplingRules } from './samplingRules.ts';

type Settings = Readonly<Record<string, unknown>>;

it('leave what transformers leaves', () => {
  expect(golden.cases).toHaveLength(54);
  for (const { prompt, written, settings, logits, left } of golden.cases) {
    const own = settings as Settings;
    const number = (key: string, usual: number): number => (own[key] as number | undefined) ?? usual;
    const list = <T>(key: string): T[] => (own[key] as T[] | undefined) ?? [];
    const rules = [
      ...logitRules({
        repetitionPenalty: number('repetition_penalty', 1),
        noRepeatNgram: number('no_repeat_ngram_size', 0),
        badWords: list<number[]>('bad_words_ids'),
        minTokens: number('min_new_tokens', 0),
        suppress: list('suppress_tokens'),
        beginSuppress: list('begin_suppress_tokens'),
        ends: golden.ends,
      }),
      ...samplingRules({
        temperature: number('temperature', 1),
        topK: number('top_k', 0),
        topP: number('top_p', 1),
        ...('min_p' in own ? { minP: number('min_p', 0) } : {}),
        typicalP: number('typical_p', 1),
        epsilonCutoff: number('epsilon_cutoff', 0),
        etaCutoff: number('eta_cutoff', 0),
      }),
    ];
    const found = Float32Array.from(logits);
    for (const rule of rules) rule(found, written, prompt);
    const rounded = [...found].map((value) => (value === -Infinity ? null : value));
    expect(rounded.map((value) => value === null), JSON.stringify(settings)).toEqual(left.map((value) => value === null)); // prettier-ignore
    rounded.forEach((value, i) => value === null || expect(value).toBeCloseTo(left[i]!, 4));
  }
});
