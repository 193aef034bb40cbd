/** @file Texts of any language without case, marks and signs. */

/** What Python calls white space, for character classes. */
export const space: string = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** A place between a character of a word and one that is none; JavaScript's own `\b` knows ASCII alone. */
export const edge: string = String.raw`(?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_]))`;

const spaces = new RegExp(`[${space}]+`, 'gu');

/** One space for each run of white space. */
export function singleSpaced(text: string): string {
  return text.replace(spaces, ' ');
}

/** What stands in brackets is not said: `[laughter]`, `<unk>`, `(applause)`. */
export function withoutBrackets(text: string): string {
  return without(without(text, /[<[][^>\]]*[>\]]/gu, '>]'), /\([^)]+?\)/gu, ')');
}

/** Behind the last closing bracket nothing is looked for, so that many open ones take no time that grows with their square. */
function without(text: string, bracketed: RegExp, closing: string): string {
  const end = Math.max(...Array.from(closing, (bracket) => text.lastIndexOf(bracket))) + 1;
  return text.slice(0, end).replace(bracketed, '') + text.slice(end);
}

/** Letters with a stroke or of two letters, which decomposition leaves whole. */
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

/** A space for each mark, symbol and punctuation; letters keep their diacritics where they are one character with them. */
function withoutSymbols(text: string): string {
  return text.normalize('NFKC').replace(/[\p{M}\p{S}\p{P}]/gu, ' ');
}

/**
 * Letters without diacritics, and a space for each other mark, symbol and punctuation.
 *
 * @param keep symbols that stay
 */
export function withoutDiacritics(text: string, keep = ''): string {
  return text.normalize('NFKD').replace(/[\p{M}\p{S}\p{P}œŒøØæÆßẞđĐðÐþÞłŁ]/gu, (character) => {
    if (keep.includes(character)) return character;
    return plain.get(character) ?? (/\p{Mn}/u.test(character) ? '' : ' ');
  });
}

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
