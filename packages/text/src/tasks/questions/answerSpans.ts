/** @file From scores of beginnings and ends to the answer in a text, over all windows of it. */

import type { TokenRow } from '@onnx-lora/sequences';

/** A window of a text, with the scores of its tokens. */
export interface SpanWindow {
  /** The window: `at` is the place of its first token of the text. */
  readonly row: Pick<TokenRow, 'at' | 'count' | 'from'>;
  /** How well an answer begins with each token of the row, special ones and those of the question included. */
  readonly starts: ArrayLike<number>;
  /** How well it ends with it. */
  readonly ends: ArrayLike<number>;
}

/** How answers are chosen. */
export interface SpanRules {
  /** Most tokens of an answer. */
  readonly most: number;
  /** Whether a text may lack the answer, which the scores of the first token of a row stand for. */
  readonly mayLack: boolean;
}

/** The best answer. */
export interface Span {
  /** Its first and last token in the text; absent where the text does not say. */
  readonly tokens?: readonly [first: number, last: number];
  /** Its probability among the best answers. */
  readonly score: number;
}

/** Beginnings and ends that are looked at in a window, and answers that share the probability. */
const BEST = 20;

/**
 * The answer with the highest sum of the scores of its first and its last token. Where texts may lack it, it is none if that of no
 * answer is higher, which is the least over all windows: a text has the answer if one window of it has.
 * @see transformers, examples/pytorch/question-answering/utils_qa.py, postprocess_qa_predictions, which it equals
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
  // The one of no answer is one of the best, or beside them.
  const rivals = best.map(({ score }) => score);
  if (rivals.length === BEST && rivals.at(-1)! < none) rivals.pop();
  const all = [...rivals, none];
  return none > top.score ? { score: share(none, all) } : { tokens: top.tokens, score: share(top.score, all) };
}

/** Softmax of one of some scores. */
function share(score: number, all: readonly number[]): number {
  return 1 / all.reduce((sum, each) => sum + Math.exp(each - score), 0);
}

/** The places of the highest scores; of equal ones the later first. */
function highest(scores: ArrayLike<number>): readonly number[] {
  return Array.from(scores, (_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]! || b - a)
    .slice(0, BEST);
}

/** Tokens of a text with their places in it. */
interface Placed {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The letters of a span: from the first, to the one after the last. Blanks that a token begins with are left out. */
export function lettersOf(
  text: string,
  { starts, ends }: Placed,
  [first, last]: readonly [number, number],
): readonly [start: number, end: number] {
  const [from, end] = [starts[first]!, ends[last]!];
  const own = text.slice(from, end);
  return [from + own.length - own.trimStart().length, from + own.trimEnd().length];
}

/** The tokens of an answer: the last that begins no later than it, and the first that ends no sooner. */
export function tokensOfAnswer(
  { starts, ends }: Placed,
  { text, start }: { readonly text: string; readonly start: number },
): readonly [first: number, last: number] | undefined {
  const first = starts.findLastIndex((each) => each <= start);
  const last = ends.findIndex((each) => each >= start + text.length);
  return first < 0 || last < first ? undefined : [first, last];
}
