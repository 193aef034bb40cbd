/** @file Writes texts token by token, each time the most probable token or one by chance. */

import { Random } from '@onnx-lora/sdk/core';
import { type DecodedWindow, firstLogits, type SearchRequest } from './search.ts';
import { best, chosen, drawn, logSumExp } from './scores.ts';

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
