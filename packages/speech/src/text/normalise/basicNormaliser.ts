/** @file Whisper's basic text normaliser, for any language. */

/** Python's white space, for character classes. */
export const space: string = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** A word boundary for Unicode; JavaScript's `\b` is ASCII only. */
export const edge: string = String.raw`(?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_]))`;

const spaces = new RegExp(`[${space}]+`, 'gu');

/** Collapses white space. */
export function singleSpaced(text: string): string {
  return text.replace(spaces, ' ');
}

/** Removes brackets and their content, as it is no speech: `[laughter]`, `<unk>`, `(applause)`. */
export function withoutBrackets(text: string): string {
  return without(without(text, /[<[][^>\]]*[>\]]/gu, '>]'), /\([^)]+?\)/gu, ')');
}

/** Stops at the last closing bracket, to avoid quadratic time for many open ones. */
function without(text: string, bracketed: RegExp, closing: string): string {
  const end = Math.max(...Array.from(closing, (bracket) => text.lastIndexOf(bracket))) + 1;
  return text.slice(0, end).replace(bracketed, '') + text.slice(end);
}

/** Letters with a stroke, and ligatures, which Unicode does not decompose. */
const plain: ReadonlyMap<string, string> = new Map(
  Object.entries({
    œ: 'oe',
    Œ: 'OE',
    ø: 'o',
    Ø: 'O',
    æ: 'ae',
    Æ: 'AE',
    ß: 'ss',
    ẞ: 'SS',
    đ: 'd',
    Đ: 'D',
    ð: 'd',
    Ð: 'D',
    þ: 'th',
    Þ: 'th',
    ł: 'l',
    Ł: 'L',
  }),
);

/** Replaces marks, symbols and punctuation by spaces; composed diacritics stay. */
function withoutSymbols(text: string): string {
  return text.normalize('NFKC').replace(/[\p{M}\p{S}\p{P}]/gu, ' ');
}

/** Removes diacritics, and replaces other marks and symbols by spaces, except those in `keep`. */
export function withoutDiacritics(text: string, keep = ''): string {
  return text.normalize('NFKD').replace(/[\p{M}\p{S}\p{P}œŒøØæÆßẞđĐðÐþÞłŁ]/gu, (character) => {
    if (keep.includes(character)) return character;
    return plain.get(character) ?? (/\p{Mn}/u.test(character) ? '' : ' ');
  });
}

/** Normalises a text before comparison. */
export type TextNormaliser = (text: string) => string;

/** Options of {@link basicNormaliser}. */
export interface BasicNormaliserOptions {
  /** Treats `é` as `e`; false by default. */
  readonly removeDiacritics?: boolean;
  /** Treats each character as a word, for languages without spaces; false by default. */
  readonly splitLetters?: boolean;
}

const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * Whisper's `BasicTextNormalizer`: lower case without punctuation, symbols and bracketed text. Outer white space stays,
 * which error rates ignore.
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
