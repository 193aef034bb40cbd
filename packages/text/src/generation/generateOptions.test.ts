/** @file Generation options, and their defaults in a model's files. */

import { GenerationFile } from '@onnx-lora/sequences';
import { expect, it } from 'vitest';
import {
  type GenerateOptions,
  type GenerationPlan,
  generationDefaults,
  likeliestByDefault,
  planOf,
} from './generateOptions.ts';

const fileOf = (own: object, config: object = {}): GenerationFile =>
  new GenerationFile({ own: { eos_token_id: 1, ...own }, config: { ...config }, where: 'the test' });
const plan = (own: object, options: GenerateOptions = {}): GenerationPlan => planOf(options, generationDefaults(fileOf(own))); // prettier-ignore

it('draws where the files or the options say so, with what they say', () => {
  expect(plan({ temperature: 0.6 }).sampling).toBeUndefined();
  const published = { do_sample: true, temperature: 0.6, top_p: 0.9 };
  expect(plan(published).sampling).toEqual({ temperature: 0.6, topK: 50, topP: 0.9 });
  expect(plan(published, { topP: 1, topK: 0 }).sampling).toEqual({ temperature: 0.6, topK: 0, topP: 1 });
  expect(plan(published, { doSample: false }).sampling).toBeUndefined();
  expect(plan(published, { temperature: 0 }).sampling).toBeUndefined();
  expect(plan({}, { seed: 1 }).sampling).toEqual({ temperature: 1, topK: 50 });
  expect(plan({ num_beams: 4 }, { minP: 0.1 })).toMatchObject({ search: { beams: 1 }, sampling: { minP: 0.1 } });
});

it('takes the likeliest where that is to be so unless something is asked of drawing', () => {
  const published = { do_sample: true, temperature: 0.6, num_beams: 2 };
  const { sampling, search } = plan(published, likeliestByDefault({ maxNewTokens: 3 }));
  expect([sampling, search.beams]).toEqual([undefined, 1]);
  expect(plan(published, likeliestByDefault({ topP: 0.5 })).sampling).toMatchObject({ temperature: 0.6, topP: 0.5 });
});

it('takes penalties, ends and lengths of the files where none are asked for', () => {
  const own = { eos_token_id: [3, 4], repetition_penalty: 1.1, num_beams: 2, suppress_tokens: [7] };
  expect(plan(own).search).toMatchObject({ ends: [3, 4], repetitionPenalty: 1.1, beams: 2, suppress: [7] });
  const asked = { eosTokenId: 5, repetitionPenalty: 1, numBeams: 1, suppressTokens: [] };
  expect(plan(own, asked).search).toMatchObject({ ends: [5], repetitionPenalty: 1, beams: 1, suppress: [] });
  const lengths = fileOf({ max_length: 40, max_new_tokens: 9, bos_token_id: 2 }, { n_positions: 128 });
  expect(generationDefaults(lengths)).toMatchObject({ maxLength: 40, maxNewTokens: 9, begin: 2, positions: 128 });
});

it('refuses files that say what cannot be', () => {
  for (const own of [{ do_sample: 'yes' }, { temperature: -1 }, { top_k: 1.5 }, { top_p: 2 }, { eos_token_id: 'x' }, { max_new_tokens: [] }])
    expect(() => plan(own)).toThrow(`"${Object.keys(own)[0]}" in the test must be`);
}); // prettier-ignore
