/** @file A search for the best text: what is asked of it, and the greedy one. */

import { Random } from '@onnx-lora/sdk/core';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { Decoding } from '../decoder/decoding.ts';
import type { GenerationConfig } from '../generationConfig.ts';
import type { LogitRule } from './logitRules.ts';
import { best, chosen, drawn } from './scores.ts';

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
interface FirstLogits {
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

interface Text {
  readonly prompt: readonly number[];
  readonly tokens: number[];
  readonly noSpeech: number | undefined;
  readonly random: Random;
  sumLogProb: number;
  hasEnded: boolean;
}

/**
 * One text per row. Rows that have ended are left out of further passes, once they are half of them: to copy what is kept of
 * the others takes as long as some passes.
 *
 * @throws OnnxLoraError `RUNTIME_FAILED` for logits that are no numbers; others as the passes
 */
export async function greedySearch(request: SearchRequest): Promise<DecodedWindow[]> {
  const { config, decoding, prompts, maxTokens, scores, seed } = request;
  const ends = new Set(config.ends);
  const first = await firstLogits(request);
  const texts = prompts.map((prompt, i): Text => ({
    prompt,
    tokens: [],
    noSpeech: first.noSpeech[i],
    random: new Random(seed),
    sumLogProb: 0,
    hasEnded: false,
  }));
  let rows = texts;
  let logits = first.logits;
  for (let count = 1; ; count++) {
    rows.forEach((text, i) => {
      if (text.hasEnded) return;
      const token = pick(request, text, logits[i]!);
      text.hasEnded = ends.has(token);
      if (!text.hasEnded) text.tokens.push(token);
    });
    const open = rows.flatMap((text, i) => (text.hasEnded ? [] : [i]));
    if (open.length === 0 || count >= maxTokens) break;
    if (open.length <= rows.length / 2) {
      decoding.select(open);
      rows = open.map((i) => rows[i]!);
    }
    // Rows that have ended go on with the end, which nobody reads.
    const passed = await decoding.next(rows.map(({ tokens, hasEnded }) => [hasEnded ? config.ends[0]! : tokens.at(-1)!])); // prettier-ignore
    logits = passed.map(([row]) => row!);
  }
  return texts.map(({ tokens, hasEnded, sumLogProb, noSpeech }) => ({
    tokens,
    hasEnded,
    ...(scores ? { sumLogProb } : {}),
    ...(noSpeech === undefined ? {} : { noSpeechProb: noSpeech }),
  }));
}

function pick({ rules, temperature, scores }: SearchRequest, text: Text, logits: Float32Array): number {
  for (const rule of rules) rule(logits, text.tokens, text.prompt);
  const token = chosen(temperature > 0 ? drawn(logits, temperature, text.random) : best(logits));
  if (scores) text.sumLogProb += logits[token]! - logSumExp(logits);
  return token;
}
