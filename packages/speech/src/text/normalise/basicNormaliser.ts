/** @file The normaliser for all languages, as Whisper's evaluation has it. */

import { singleSpaced, withoutBrackets, withoutDiacritics, withoutSymbols } from './characters.ts';

/** Makes texts alike that say the same, before they are compared. */
export type TextNormaliser = (text: string) => string;

/** What {@link basicNormaliser} takes away. */
export interface BasicNormaliserOptions {
  /** Whether `é` and `e` are one; false by default. */
  readonly removeDiacritics?: boolean;
  /** Whether each character is a word of its own, for languages that put no spaces; false by default. */
  readonly splitLetters?: boolean;
}

const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * Lower case without punctuation, symbols and what stands in brackets: the same as Whisper's `BasicTextNormalizer`. White
 * space at the ends stays, as there; the error rates do not count it.
 *
 * @see Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), arXiv:2212.04356, appendix C
 */
export function basicNormaliser({
  removeDiacritics = false,
  splitLetters = false,
}: BasicNormaliserOptions = {}): TextNormaliser {
  const clean = removeDiacritics ? (text: string): string => withoutDiacritics(text) : withoutSymbols;
  return (text) => {
    const cleaned = clean(withoutBrackets(text.toLowerCase())).toLowerCase();
    return singleSpaced(
      splitLetters ? Array.from(characters.segment(cleaned), ({ segment }) => segment).join(' ') : cleaned,
    );
  };
}
