/** @file The interface of text search, and stepwise search (greedy or sampled). */

import { Random } from '@onnx-lora/sdk/data';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { Decoding } from '../decoder/decoding.ts';
import type { LogitRule } from './logitRules.ts';
import { best, chosen, drawn } from './scores.ts';

/** Input of every search. */
export interface SearchRequest {
  /** Decoding that has read the prompts. */
  readonly decoding: Decoding;
  /** Logits after the prompts, `[rows][vocabulary]`; the search changes them. */
  readonly logits: readonly Float32Array[];
  /** Tokens before the text, `[rows][length]`. */
  readonly prompts: readonly (readonly number[])[];
  /** Rules on the logits, in order. */
  readonly rules: readonly LogitRule[];
  /** End-of-sequence tokens. */
  readonly ends: readonly number[];
  /** Most tokens to generate, the end included. */
  readonly maxTokens: number;
  /** Whether to compute log-probabilities, which takes time. */
  readonly scores: boolean;
}

/** Input of a search that takes one token per row and step. */
export interface StepwiseRequest extends SearchRequest {
  /** 0 takes the most probable token; above 0, tokens are sampled. */
  readonly temperature: number;
  /** A seed for all rows, or one per row. Each row has its own generator and does not depend on the others. */
  readonly seed: number | readonly number[];
  /** Stopping criterion for a row without an end token. */
  readonly isOver?: (row: number, tokens: readonly number[]) => boolean;
}

/** Generated text of one row. */
export interface WrittenText {
  /** Tokens without prompt and end. */
  readonly tokens: readonly number[];
  /** Whether it ended before the length limit. */
  readonly hasEnded: boolean;
  /** The token that ended it, if any. */
  readonly end?: number;
  /** Sum of the log-probabilities of the tokens and the end among the allowed tokens, if scores are requested. */
  readonly sumLogProb?: number;
}

/** A generated token. */
export interface TakenToken {
  /** Index of the prompt. */
  readonly row: number;
  /** Id of the token. */
  readonly token: number;
  /** Text of the row so far, this token included unless it is an end. */
  readonly text: WrittenText;
  /** Whether the row is complete. */
  readonly isLast: boolean;
}

interface Text {
  readonly row: number;
  readonly prompt: readonly number[];
  readonly tokens: number[];
  readonly random: Random;
  sumLogProb: number;
  hasEnded: boolean;
  end?: number;
}

/**
 * Generates a token per row and pass. Once half of the rows are done, they leave the batch: copying the cache of the
 * others costs as much as some passes.
 * @throws OnnxLoraError `RUNTIME_FAILED` for NaN logits; others like the passes
 */
export async function* takeTokens(request: StepwiseRequest): AsyncGenerator<TakenToken, void> {
  const { decoding, prompts, maxTokens, ends, isOver, scores, seed } = request;
  const isEnd = new Set(ends);
  let rows = prompts.map((prompt, row): Text => ({ row, prompt, tokens: [], random: new Random(typeof seed === 'number' ? seed : seed[row]!), sumLogProb: 0, hasEnded: false })); // prettier-ignore
  let { logits } = request;
  for (let count = 1; ; count++) {
    for (const [i, text] of rows.entries()) {
      if (text.hasEnded) continue;
      const token = pick(request, text, logits[i]!);
      if (isEnd.has(token)) text.end = token;
      else text.tokens.push(token);
      text.hasEnded = isEnd.has(token) || (isOver?.(text.row, text.tokens) ?? false);
      const { row, tokens, hasEnded, end, sumLogProb } = text;
      const written = { tokens, hasEnded, ...(end === undefined ? {} : { end }), ...(scores ? { sumLogProb } : {}) };
      yield { row, token, text: written, isLast: hasEnded || count >= maxTokens };
    }
    const open = rows.flatMap((text, i) => (text.hasEnded ? [] : [i]));
    if (open.length === 0 || count >= maxTokens) return;
    if (open.length <= rows.length / 2) {
      decoding.select(open);
      rows = open.map((i) => rows[i]!);
    }
    // Finished rows repeat their last token, which nobody reads.
    const passed = await decoding.next(rows.map(({ tokens, end }) => [end ?? tokens.at(-1)!]));
    logits = passed.map(([row]) => row!);
  }
}

/** The final text of each row of {@link takeTokens}; throws the same errors. */
export async function stepwiseSearch(request: StepwiseRequest): Promise<WrittenText[]> {
  const texts: WrittenText[] = [];
  for await (const { row, text } of takeTokens(request)) texts[row] = text;
  return texts;
}

function pick({ rules, temperature, scores }: StepwiseRequest, text: Text, logits: Float32Array): number {
  for (const rule of rules) rule(logits, text.tokens, text.prompt);
  const token = chosen(temperature > 0 ? drawn(logits, temperature, text.random) : best(logits));
  if (scores) text.sumLogProb += logits[token]! - logSumExp(logits);
  return token;
}
