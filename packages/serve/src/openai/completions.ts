/** @file `/v1/completions`: completes prompts, optionally streamed. */

import { z } from 'zod';
import { type Route, route } from '../http/routes.ts';
import type { Service } from '../http/service.ts';
import { ignoredParameters, type OtherParameters, parametersOf } from './parameters.ts';
import { MOST_CHOICES, ignoredSampling, samplingSchema } from './sampling.ts';
import { finish, type AnswerMessages, usage, generateAnswer } from './generateAnswer.ts';

/** OpenAI's default of max_tokens. */
const USUAL_TOKENS = 16;

const prompt = z.string().min(1);
const request = z.object({
  ...samplingSchema,
  prompt: z.union([prompt, z.array(prompt).min(1).max(MOST_CHOICES)], { error: 'give a text, or a list of texts' }),
});

const others: OtherParameters = {
  ...ignoredParameters,
  ...ignoredSampling,
  best_of: [1],
  echo: [false],
  logprobs: [],
  suffix: [''],
};

const completion = z.object({
  id: z.string(),
  object: z.literal('text_completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({ index: z.int(), text: z.string(), logprobs: z.null(), finish_reason: finish })),
  usage,
});

const told: AnswerMessages = {
  id: 'cmpl',
  objects: ['text_completion', 'text_completion'],
  whole: (text) => ({ text, logprobs: null }),
  piece: (text = '') => ({ text, logprobs: null }),
};

/** The route. */
export function completionsRoute(service: Service): Route {
  return route({
    method: 'POST',
    url: '/v1/completions',
    summary: 'texts that go on from prompts; with "stream", piece by piece',
    body: { 'application/json': request },
    answer: completion,
    isComputed: true,
    handle: async (asked) => {
      const given = await parametersOf(request, others, asked.body);
      return generateAnswer(service, asked, {
        writing: { ...given, max_tokens: given.max_tokens ?? USUAL_TOKENS },
        records: [given.prompt].flat().map((each) => ({ prompt: each })),
        told,
      });
    },
  });
}
