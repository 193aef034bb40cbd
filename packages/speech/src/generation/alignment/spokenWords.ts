/** @file Words of a text and its segments, with times. */

import { isUnspaced } from '../longform/windows.ts';
import type { SpokenWord } from '../transcriber.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';

interface TokenWord {
  readonly word: string;
  /** Range of its tokens; the end is exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Punctuation that joins the next word, and the previous one. */
const opening = `"'“¡¿([{-`;
const closing = `"'.。,，!！?？:：”)]}、`;
const punctuation = /^[!-/:-@[-`{-~]*$/;
const BROKEN = '\uFFFD';

/**
 * Splits a text into words with punctuation, or characters without spaces. @see transformers,
 * _combine_tokens_into_words
 */
export function spokenWords(tokens: readonly number[], tokenizer: SpeechTokenizer, language?: string): TokenWord[] {
  const pieces = characters(tokens, tokenizer);
  const words = isUnspaced(language) ? pieces : joined(pieces);
  return withPunctuation(words).map((each) => ({ ...each, word: each.word.trim() })).filter(({ word }) => word !== ''); // prettier-ignore
}

/** Joins tokens that only together are whole characters. */
function characters(tokens: readonly number[], tokenizer: SpeechTokenizer): TokenWord[] {
  const whole = tokenizer.decode(tokens);
  const found: TokenWord[] = [];
  let [start, offset] = [0, 0];
  for (let end = 1; end <= tokens.length; end++) {
    const word = tokenizer.decode(tokens.slice(start, end));
    const broken = word.indexOf(BROKEN);
    const isWhole = broken < 0 || offset + broken >= whole.length || whole[offset + broken] === BROKEN;
    if (!isWhole && end < tokens.length) continue;
    found.push({ word, start, end });
    start = end;
    offset += word.length;
  }
  return found;
}

/** Joins tokens to words, which begin with a space; punctuation is separate. */
function joined(pieces: readonly TokenWord[]): TokenWord[] {
  const words: TokenWord[] = [];
  for (const piece of pieces) {
    const last = words.at(-1);
    if (!last || piece.word.startsWith(' ') || punctuation.test(piece.word.trim())) words.push(piece);
    else words[words.length - 1] = { word: last.word + piece.word, start: last.start, end: piece.end };
  }
  return words;
}

function withPunctuation(words: readonly TokenWord[]): TokenWord[] {
  const led: TokenWord[] = [];
  for (const each of words.toReversed()) {
    const behind = led[0];
    const isLead = behind && each.word.startsWith(' ') && opening.includes(each.word.trim());
    if (isLead) led[0] = { word: each.word + behind.word, start: each.start, end: behind.end };
    else led.unshift(each);
  }
  const found: TokenWord[] = [];
  for (const each of led) {
    const before = found.at(-1);
    if (before && !before.word.endsWith(' ') && closing.includes(each.word)) {
      found[found.length - 1] = { word: before.word + each.word, start: before.start, end: each.end };
    } else found.push(each);
  }
  return found;
}

interface AlignedTokens {
  readonly tokens: readonly number[];
  readonly times: readonly number[];
  /** End of the token before the first. */
  readonly start: number;
  /** The token of 0.00 s; later ones are times, not text. */
  readonly firstTime: number;
  /** Language code; English by default. */
  readonly language?: string | undefined;
}

/** The words of a segment with times from their tokens; a word begins at the end of the previous token. */
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
