/** @file Compares a text with its reference: exact match, F1 of words, ROUGE-L. */

/** Scores from 0 to 1 of a text against its reference. */
export interface TextScores {
  /** 1 if both are equal, except for blanks around them. */
  readonly exactMatch: number;
  /** F1 of words, see {@link wordF1}. */
  readonly f1: number;
  /** ROUGE-L, see {@link rougeL}. */
  readonly rougeL: number;
}

/** All scores of a generated text against its reference. */
export function textScores(written: string, wanted: string): TextScores {
  const exactMatch = Number(written.trim() === wanted.trim());
  return { exactMatch, f1: wordF1(written, wanted), rougeL: rougeL(written, wanted) };
}

/** Python's `string.punctuation`. */
const punctuation = /[!-/:-@[-`{-~]/g;
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** SQuAD's normalized words of a text: lower case, no punctuation, no articles. */
export function squadWords(text: string): string[] {
  return text.toLowerCase().replace(punctuation, '').replace(articles, ' ').split(/\s+/).filter(Boolean);
}

/**
 * F1 of the words that two texts share, counting repeats, in lower case and without punctuation and English articles; 1
 * if neither text has words.
 * @see Rajpurkar et al., "SQuAD" (2016): its `evaluate-v1.1.py`
 */
export function wordF1(written: string, wanted: string): number {
  const [own, others] = [squadWords(written), squadWords(wanted)];
  if (own.length === 0 || others.length === 0) return Number(own.length === others.length);
  const left = new Map<string, number>();
  for (const word of others) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of own) {
    const count = left.get(word) ?? 0;
    if (count > 0) common++;
    left.set(word, count - 1);
  }
  return f1(common, own.length, others.length);
}

/**
 * ROUGE-L: F1 of the longest common subsequence of words. Words are runs of a to z and digits, in lower case, without
 * stemming, as in `rouge_score`.
 * @see Lin, "ROUGE" (2004)
 */
export function rougeL(written: string, wanted: string): number {
  const [own, others] = [written, wanted].map((text) => text.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean)) as [string[], string[]]; // prettier-ignore
  return f1(longestCommon(own, others), own.length, others.length);
}

/** Length of the longest common subsequence. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let before = new Uint32Array(b.length + 1);
  for (const word of a) {
    const now = new Uint32Array(b.length + 1);
    for (const [j, other] of b.entries())
      now[j + 1] = word === other ? before[j]! + 1 : Math.max(before[j + 1]!, now[j]!);
    before = now;
  }
  return before[b.length]!;
}

function f1(common: number, own: number, others: number): number {
  return common === 0 ? 0 : (2 * common) / (own + others);
}
