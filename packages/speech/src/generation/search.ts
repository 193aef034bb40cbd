/** @file What is asked of a search for the best text, and what it finds. */

import type { Decoding } from './decoding.ts';
import type { GenerationConfig } from './generationConfig.ts';
import type { LogitRule } from './logitRule.ts';
import { logSumExp } from './scores.ts';

/** A search for the text of each row. */
export interface SearchRequest {
  readonly config: GenerationConfig;
  readonly decoding: Decoding;
  /** Tokens before the text, `[rows][length]`. */
  readonly prompts: readonly (readonly number[])[];
  readonly rules: readonly LogitRule[];
  /** Most tokens to write, the end included. */
  readonly maxTokens: number;
  readonly beams: number;
  /** 0 takes the most probable token; above, tokens are drawn. */
  readonly temperature: number;
  /** Each row draws with a generator of its own from this seed, so that it does not depend on the others. */
  readonly seed: number;
  /** Whether probabilities are wanted, which takes time. */
  readonly scores: boolean;
}

/** What was written for one row. */
export interface DecodedWindow {
  /** Without prompt and end. */
  readonly tokens: readonly number[];
  /** Whether it ended by itself, before there were too many tokens. */
  readonly hasEnded: boolean;
  /** Sum of the log-probabilities of the tokens and the end, of all that the rules allow. Where scores are asked for. */
  readonly sumLogProb?: number;
  /** How probable it is that nothing is said. Where scores are asked for, and the model has a token for it. */
  readonly noSpeechProb?: number;
}

/** The logits behind the prompts `[rows][vocabulary]`, and how probable it is that nothing is said. */
export interface FirstLogits {
  readonly logits: Float32Array[];
  readonly noSpeech: readonly (number | undefined)[];
}

/**
 * Runs the first pass. That nothing is said is written right behind the start, by the token before `<|notimestamps|>`.
 *
 * @see openai-whisper, whisper/decoding.py, DecodingTask._main_loop
 */
export async function firstLogits(request: SearchRequest): Promise<FirstLogits> {
  const { config, decoding, prompts, scores } = request;
  const last = prompts[0]!.length - 1;
  const token = config.noTimestamps === undefined ? undefined : config.noTimestamps - 1;
  if (!scores || token === undefined) {
    const logits = await decoding.next(prompts, [last]);
    return { logits: logits.map(([row]) => row!), noSpeech: prompts.map(() => undefined) };
  }
  // What was said before is as long for all rows, as the prompts are.
  const found = await decoding.next(prompts, [prompts[0]!.indexOf(config.start), last]);
  return {
    noSpeech: found.map(([start]) => Math.exp(start![token]! - logSumExp(start!))),
    logits: found.map(([, row]) => row!),
  };
}
