/** @file Greedy and beam search beside transformers' `generate`, on a small model that is a formula. */

import '../../../../../test/support/seed.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import golden from '../../fixtures/search.json' with { type: 'json' };
import type { Decoding } from '../decoder/decoding.ts';
import { GenerationFile, type SearchSettings } from '../generationFile.ts';
import { beamSearch } from './beamSearch.ts';
import { logitRules } from './logitRules.ts';
import { stepwiseSearch, type WrittenText } from './search.ts';

const vocabulary = 12;

/** Logits behind the last two tokens of a text of `length`: as in the script that made the goldens. */
function logitsOf(before: number, last: number, length: number): Float32Array {
  return Float32Array.from(
    { length: vocabulary },
    (_, v) =>
      2 * Math.sin(1.3 * v * (last + 1) + 0.7 * before * v + 0.9 * length + v) + (v === 0 ? 0.25 * (length - 8) : 0),
  );
}

/** Texts of the formula, and how many rows each pass had. */
function formula(rows: number, passes: number[] = []): Decoding {
  let texts: readonly (readonly number[])[] = Array.from({ length: rows }, () => []);
  return {
    next: async (tokens, places) => {
      texts = texts.map((text, i) => [...text, ...tokens[i]!]);
      passes.push(texts.length);
      const count = tokens[0]!.length;
      return texts.map((text) =>
        (places ?? [count - 1]).map((place) => {
          const length = text.length - count + place + 1;
          return logitsOf(text[length - 2] ?? 0, text[length - 1]!, length);
        }),
      );
    },
    select: (chosen) => (texts = chosen.map((row) => texts[row]!)),
    release: () => undefined,
  };
}

interface Options {
  readonly max_new_tokens: number;
  readonly num_beams?: number;
}

interface Asked {
  readonly prompts: readonly number[][];
  readonly settings: SearchSettings;
  readonly maxTokens: number;
  readonly decoding?: Decoding;
  readonly scores?: boolean;
}

async function found({
  prompts,
  settings,
  maxTokens,
  decoding = formula(prompts.length),
  scores = false,
}: Asked): Promise<WrittenText[]> {
  const logits = (await decoding.next(prompts)).map(([row]) => row!);
  const request = { ...settings, decoding, logits, prompts, rules: logitRules(settings), maxTokens, scores };
  if (settings.beams === 1) return stepwiseSearch({ ...request, temperature: 0, seed: 0 });
  return (await beamSearch(request)).map(([best]) => best!);
}

const settingsOf = (own: object): SearchSettings =>
  new GenerationFile({ own: { eos_token_id: 0, ...own }, config: {}, where: 'the test' }).search();

function search(
  prompts: readonly number[][],
  options: Options,
  ends: readonly number[],
  passes?: number[],
): Promise<WrittenText[]> {
  const settings = settingsOf({ eos_token_id: ends, ...options });
  return found({ prompts, settings, maxTokens: options.max_new_tokens, decoding: formula(prompts.length, passes) });
}

const withoutScore = (found: readonly WrittenText[]): unknown[] =>
  found.map(({ tokens, hasEnded }) => ({ tokens, hasEnded }));

describe("finds transformers' texts", () => {
  it.each(golden.cases)('$name', async ({ options, ends, found: texts }) => {
    expect(texts).toHaveLength(golden.prompts.length);
    const wanted = texts.map(({ tokens, hasEnded }) => ({ tokens, hasEnded }));
    expect(withoutScore(await search(golden.prompts, options, ends))).toEqual(wanted);
  });
});

it('finds for a row what it finds for the row alone, and leaves out rows that have ended', async () => {
  const prompts = fc.array(fc.tuple(fc.nat(vocabulary - 1), fc.nat(vocabulary - 1)), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(prompts, fc.integer({ min: 1, max: 4 }), async (rows, beams) => {
      const options = { max_new_tokens: 12, num_beams: beams };
      const passes: number[] = [];
      const together = await search(rows, options, [0], passes);
      const alone = await Promise.all(rows.map(async (row) => (await search([row], options, [0]))[0]!));
      expect(together).toEqual(alone);
      expect(passes.slice(1)).toEqual(passes.slice(1).toSorted((a, b) => b - a));
    }),
    { numRuns: 60 },
  );
});

it('sums the log-probabilities of what the rules allow, the end included', async () => {
  for (const beams of [1, 3]) {
    const settings = settingsOf({ suppress_tokens: [4, 8], num_beams: beams });
    const [text] = await found({ prompts: [[3, 1]], settings, maxTokens: 14, scores: true });
    const ids = [3, 1, ...text!.tokens, 0];
    let sum = 0;
    for (let i = 2; i < ids.length; i++) {
      const logits = logitsOf(ids[i - 2]!, ids[i - 1]!, i).map((score, v) => (v === 4 || v === 8 ? -Infinity : score));
      const all = logits.reduce((total, score) => total + Math.exp(score), 0);
      sum += Math.log(Math.exp(logits[ids[i]!]!) / all);
    }
    expect(text).toMatchObject({ hasEnded: true, end: 0 });
    expect(text!.sumLogProb).toBeCloseTo(sum, 4);
  }
});

it('refuses logits that are no numbers', async () => {
  const decoding = { ...formula(1), next: async () => [[new Float32Array(vocabulary).fill(NaN)]] };
  for (const beams of [1, 2]) {
    const settings = settingsOf({ num_beams: beams });
    await expect(found({ prompts: [[3, 1]], settings, maxTokens: 4, decoding })).rejects.toThrow('gives no token a score that is a number'); // prettier-ignore
  }
});
