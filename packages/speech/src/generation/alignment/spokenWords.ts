/** @file Words of a text and of its segments, with their times. */

import { isUnspaced } from '../longform/windows.ts';
import type { SpokenWord } from '../transcriber.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';

/** A word, and the tokens that it is written with. */
interface TokenWord {
  readonly word: string;
  /** Places of its tokens: from the first to before the last. */
  readonly start: number;
  readonly end: number;
}

/** Punctuation that belongs to the word behind it, and to the word before it. */
const opening = `"'“¡¿([{-`;
const closing = `"'.。,，!！?？:：”)]}、`;
const punctuation = /^[!-/:-@[-`{-~]*$/;
const BROKEN = '\uFFFD';

/**
 * The words of a text without times, with the punctuation that belongs to them. Languages without spaces are cut into
 * characters, or whatever the model has tokens for.
 *
 * @see transformers, tokenization_whisper.py, _combine_tokens_into_words; openai-whisper, whisper/timing.py, merge_punctuations
 */
export function spokenWords(tokens: readonly number[], tokenizer: SpeechTokenizer, language?: string): TokenWord[] {
  const pieces = characters(tokens, tokenizer);
  const words = isUnspaced(language) ? pieces : joined(pieces);
  return withPunctuation(words).map((each) => ({ ...each, word: each.word.trim() })).filter(({ word }) => word !== ''); // prettier-ignore
}

/** Tokens together where only together they are characters. */
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

/** A word begins with a space; punctuation stands for itself. */
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

/** A segment of a window. */
interface AlignedTokens {
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
