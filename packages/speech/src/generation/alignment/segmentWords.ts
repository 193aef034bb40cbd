/** @file The words of a segment, and when they are said. */

import type { SpeechTokenizer } from '../../text/speechTokenizer.ts';
import type { SpokenWord } from '../recogniser.ts';
import { spokenWords } from './spokenWords.ts';

/** A segment of a window. */
export interface AlignedTokens {
  readonly tokens: readonly number[];
  /** For each token, when it ends. */
  readonly times: readonly number[];
  /** When the token before the first one ends. */
  readonly start: number;
  /** The token of 0.00 s: from there on tokens are times, which are not said. */
  readonly firstTime: number;
  /** Code of what is spoken; English by default. */
  readonly language?: string | undefined;
}

/** The words of a segment; a word begins when the token before it ends. Times are those of the tokens. */
export function segmentWords(
  { tokens, times, start, firstTime, language }: AlignedTokens,
  tokenizer: SpeechTokenizer,
): SpokenWord[] {
  const isSaid = (token: number): boolean => token < firstTime;
  const first = tokens.findIndex(isSaid);
  if (first < 0) return [];
  const said = tokens.slice(first, tokens.findLastIndex(isSaid) + 1);
  return spokenWords(said, tokenizer, language).map((each) => ({
    word: each.word,
    start: times[first + each.start - 1] ?? start,
    end: times[first + each.end - 1]!,
  }));
}
