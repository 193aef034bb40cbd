/** @file The interface of text search, and the stepwise search. */

import { Random } from '@onnx-lora/sdk/data';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { Decoding } from '../decoder/decoding.ts';
import type { LogitRule } from './logitRules.ts';
import { best, chosen, drawn } from './scores.ts';

/** What every search for the text of each row is told. */
export interface SearchRequest {
  /** Has read the prompts. */
  readonly decoding: Decoding;
  /** What the model gives behind the prompts, `[rows][vocabulary]`; it is changed. */
  readonly logits: readonly Float32Array[];
  /** Tokens before the text, `[rows][length]`. */
  readonly prompts: readonly (readonly number[])[];
  /** What may be written, in their order. */
  readonly rules: readonly LogitRule[];
  /** Tokens that end a text. */
  readonly ends: readonly number[];
  /** Most tokens to write, the end included. */
  readonly maxTokens: number;
  /** Whether probabilities are wanted, which takes time. */
  readonly scores: boolean;
}

/** A search that takes one token for each row, and keeps to it. */
export interface StepwiseRequest extends SearchRequest {
  /** 0 takes the most probable token; above, tokens are drawn. */
  readonly temperature: number;
  /** Each row draws with a generator of its own from this seed, so that it does not depend on the others; or a seed for each. */
  readonly seed: number | readonly number[];
  /** Whether a row's text is over, which has no end among its tokens yet. */
  readonly isOver?: (row: number, tokens: readonly number[]) => boolean;
}

/** What was written for one row. */
export interface WrittenText {
  /** Without prompt and end. */
  readonly tokens: readonly number[];
  /** Whether it ended by itself, before there were too many tokens. */
  readonly hasEnded: boolean;
  /** The token that ended it, where one did. */
  readonly end?: number;
  /** Sum of the log-probabilities of the tokens and the end, of all that the rules allow. Where scores are asked for. */
  readonly sumLogProb?: number;
}

/** A token that was taken. */
export interface TakenToken {
  /** Which prompt it follows. */
  readonly row: number;
  /** Its id. */
  readonly token: number;
  /** What is written of the row, this token included but for an end. */
  readonly text: WrittenText;
  /** Whether the row goes on. */
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
 * Takes a token for each row, pass by pass. Rows that are over are left out of further passes, once they are half of them: to
 * copy what is kept of the others takes as long as some passes.
 * @throws OnnxLoraError `RUNTIME_FAILED` for logits that are no numbers; others as the passes
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

/**
 * The final text of each row of {@link takeTokens}.
 *
 * @throws OnnxLoraError as {@link takeTokens}
 */
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
