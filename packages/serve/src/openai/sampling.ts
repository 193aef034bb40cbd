/** @file OpenAI's generation parameters, shared by chat and completions. */

import { withoutUndefined } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import type { RequestedTask } from '../inference/variants.ts';
import type { OtherParameters } from './parameters.ts';

/** Maximum answers per request. */
export const MOST_CHOICES = 16;

export interface SamplingParameters {
  readonly model: string;
  readonly stream?: boolean | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | undefined;
  readonly max_tokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: string | string[] | undefined;
  readonly n?: number | undefined;
}

export const samplingSchema: { readonly [Name in keyof SamplingParameters]-?: z.ZodType<SamplingParameters[Name]> } = {
  model: z.string().describe('the base, "base:adapter", or an adapter alone'),
  stream: z.boolean().optional(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .optional(),
  max_tokens: z.int().min(1).max(1_000_000).optional(),
  temperature: z.number().min(0).max(2).optional().describe("by default as the model's generation_config.json says; 0 takes the likeliest tokens"), // prettier-ignore
  top_p: z.number().gt(0).max(1).optional(),
  seed: z.int().min(0).max(1_000_000_000).optional(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).optional(),
  n: z.int().min(1).max(MOST_CHOICES).optional(),
};

export const ignoredSampling: OtherParameters = {
  frequency_penalty: [0],
  presence_penalty: [0],
  logit_bias: [{}],
};

/** Converts to the task's settings. `top_p: 1`, which clients send as the default, does not turn sampling on. */
export function settingsOf(
  { max_tokens, temperature, top_p, seed, stop }: SamplingParameters,
  schema?: object,
): RequestedTask['settings'] {
  const draws = temperature === undefined ? top_p !== undefined && top_p < 1 : temperature > 0;
  return withoutUndefined({
    maxNewTokens: max_tokens,
    temperature,
    topP: draws ? top_p : undefined,
    seed: temperature === 0 ? undefined : seed,
    stopStrings: stop === undefined || stop.length === 0 ? undefined : [stop].flat(),
    schema: schema && JSON.stringify(schema),
  });
}
