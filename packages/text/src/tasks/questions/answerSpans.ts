/** @file Chooses the answer span of a text from start and end scores over its windows. */

import type { TokenRow } from '@onnx-lora/sequences';

/** A window of a text, with its tokens' scores. */
export interface SpanWindow {
  /** `at` is the row's first token that belongs to the text. */
  readonly row: Pick<TokenRow, 'at' | 'count' | 'from'>;
  /** Start scores of the row's tokens, including special tokens and the question. */
  readonly starts: ArrayLike<number>;
  /** End scores of the row's tokens. */
  readonly ends: ArrayLike<number>;
}

export interface SpanRules {
  /** Maximum tokens of an answer. */
  readonly most: number;
  /** Whether a text may lack the answer, scored by the row's first token. */
  readonly mayLack: boolean;
}

/** The best answer span. */
export interface Span {
  /** First and last token in the text; absent without an answer. */
  readonly tokens?: readonly [first: number, last: number];
  /** Probability among the best answers. */
  readonly score: number;
}

/** Number of starts and ends to combine per window, and of answers to normalise over. */
const BEST = 20;

/**
 * The span with the highest sum of start and end score. With `mayLack`, no answer wins if its score, the minimum over
 * all windows, is higher: a text has an answer if any window has one.
 * @see transformers, examples/pytorch/question-answering/utils_qa.py, postprocess_qa_predictions, with equal results
 */
export function bestSpan(windows: readonly SpanWindow[], { most, mayLack }: SpanRules): Span {
  const found: { readonly tokens: readonly [number, number]; readonly score: number }[] = [];
  let none = Infinity;
  for (const { row, starts, ends } of windows) {
    none = Math.min(none, starts[0]! + ends[0]!);
    const inText = (token: number): boolean => token >= row.at && token < row.at + row.count;
    const [firsts, lasts] = [highest(starts), highest(ends)];
    for (const first of firsts) {
      for (const last of lasts) {
        if (!inText(first) || !inText(last) || last < first || last - first + 1 > most) continue;
        const inWhole = (token: number): number => row.from + token - row.at;
        found.push({ tokens: [inWhole(first), inWhole(last)], score: starts[first]! + ends[last]! });
      }
    }
  }
  const best = found.toSorted((a, b) => b.score - a.score).slice(0, BEST);
  const [top] = best;
  if (!top) return { score: mayLack ? 1 : 0 };
  if (!mayLack) return { tokens: top.tokens, score: share(top.score, best.map(({ score }) => score)) }; // prettier-ignore
  // "No answer" is one of the best answers, or an additional one.
  const rivals = best.map(({ score }) => score);
  if (rivals.length === BEST && rivals.at(-1)! < none) rivals.pop();
  const all = [...rivals, none];
  return none > top.score ? { score: share(none, all) } : { tokens: top.tokens, score: share(top.score, all) };
}

/** Softmax of one score. */
function share(score: number, all: readonly number[]): number {
  return 1 / all.reduce((sum, each) => sum + Math.exp(each - score), 0);
}

/** Indices of the highest scores, the later of equal ones first. */
function highest(scores: ArrayLike<number>): readonly number[] {
  return Array.from(scores, (_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]! || b - a)
    .slice(0, BEST);
}

interface Placed {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The string indices of a span, without blanks at its ends. */
export function lettersOf(
  text: string,
  { starts, ends }: Placed,
  [first, last]: readonly [number, number],
): readonly [start: number, end: number] {
  const [from, end] = [starts[first]!, ends[last]!];
  const own = text.slice(from, end);
  return [from + own.length - own.trimStart().length, from + own.trimEnd().length];
}

/** The tokens that enclose an answer. */
export function tokensOfAnswer(
  { starts, ends }: Placed,
  { text, start }: { readonly text: string; readonly start: number },
): readonly [first: number, last: number] | undefined {
  const first = starts.findLastIndex((each) => each <= start);
  const last = ends.findIndex((each) => each >= start + text.length);
  return first < 0 || last < first ? undefined : [first, last];
}
