/** @file Whisper's English text normaliser, and the choice of a normaliser for error rates. */

import { wordsOf } from '@onnx-lora/sdk/tasks';
import { readFileSync } from 'node:fs';
import {
  edge,
  singleSpaced,
  space,
  type TextNormaliser,
  withoutBrackets,
  withoutDiacritics,
  basicNormaliser,
} from './basicNormaliser.ts';
import { englishNumbers } from './englishNumbers.ts';

/** Replacements of whole words. A title gets a trailing space, for an adjacent full stop. */
const wholeWords: Readonly<Record<string, string>> = {
  "won't": 'will not',
  "can't": 'can not',
  "let's": 'let us',
  "ain't": 'aint',
  "y'all": 'you all',
  wanna: 'want to',
  gotta: 'got to',
  gonna: 'going to',
  "i'ma": 'i am going to',
  imma: 'i am going to',
  woulda: 'would have',
  coulda: 'could have',
  shoulda: 'should have',
  "ma'am": 'madam',
  mr: 'mister ',
  mrs: 'missus ',
  st: 'saint ',
  dr: 'doctor ',
  prof: 'professor ',
  capt: 'captain ',
  gov: 'governor ',
  ald: 'alderman ',
  gen: 'general ',
  sen: 'senator ',
  rep: 'representative ',
  pres: 'president ',
  rev: 'reverend ',
  hon: 'honorable ',
  asst: 'assistant ',
  assoc: 'associate ',
  lt: 'lieutenant ',
  col: 'colonel ',
  jr: 'junior ',
  sr: 'senior ',
  esq: 'esquire ',
};

/** Replacements of endings; the perfect tense precedes other meanings of the same letters. */
const endings: Readonly<Record<string, string>> = {
  "'d been": ' had been',
  "'s been": ' has been',
  "'d gone": ' had gone',
  "'s gone": ' has gone',
  "'d done": ' had done',
  "'s got": ' has got',
  "n't": ' not',
  "'re": ' are',
  "'s": ' is',
  "'d": ' would',
  "'ll": ' will',
  "'t": ' not',
  "'ve": ' have',
  "'m": ' am',
};

// In order, since replacements build on each other.
const replacements: readonly (readonly [RegExp, string])[] = [
  ...Object.entries(wholeWords).map(([word, full]) => [new RegExp(edge + word + edge, 'gu'), full] as const),
  ...Object.entries(endings).map(([ending, full]) => [new RegExp(ending + edge, 'gu'), full] as const),
];
const hesitations = new RegExp(`${edge}(?:hmm|mm|mhm|mmm|uh|um)${edge}`, 'gu');
const spacedApostrophe = new RegExp(`[${space}]+'`, 'gu');

/**
 * Whisper's `EnglishTextNormalizer`: lower case without punctuation and hesitations, contractions expanded, numbers as
 * digits, American spelling. Outer white space stays, which error rates ignore.
 * @see Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), arXiv:2212.04356, appendix C
 */
export const englishNormaliser: TextNormaliser = (text) => {
  let said = withoutBrackets(text.toLowerCase()).replace(hesitations, '').replace(spacedApostrophe, "'");
  for (const [pattern, full] of replacements) said = said.replace(pattern, full);
  said = said.replace(/(\p{Nd}),(\p{Nd})/gu, '$1$2').replace(/\.([^0-9]|$)/gu, ' $1');
  said = englishNumbers(withoutDiacritics(said, '.%$¢€£'));
  said = wordsOf(said).map(americanSpelling).join(' ');
  // Signs without a number.
  return singleSpaced(said.replace(/[.$¢€£]([^0-9])/gu, ' $1').replace(/([^0-9])%/gu, '$1 '));
};

/** British to American spellings, from Whisper's evaluation. */
let spellings: ReadonlyMap<string, string> | undefined;

/** The American spelling of a lower-case word, or the word itself. */
function americanSpelling(word: string): string {
  spellings ??= new Map(
    Object.entries(
      JSON.parse(readFileSync(new URL('../../../data/spellings.json', import.meta.url), 'utf8')) as Record<
        string,
        string
      >,
    ),
  );
  return spellings.get(word) ?? word;
}

/** Options of text normalisation. */
export interface ScoringOptions {
  /**
   * Whisper's normalisers: `english` (spelling, numbers, contractions), `basic` (case and punctuation) or `none`. By
   * default `english` for English or a model of one unnamed language, else `basic`.
   */
  readonly normalizer?: 'english' | 'basic' | 'none' | undefined;
  /** `basic` removes diacritics; false by default. `english` always does. */
  readonly removeDiacritics?: boolean | undefined;
}

/** The normaliser of error rates. */
export function scoringNormaliser(
  { normalizer, removeDiacritics = false }: ScoringOptions,
  isEnglish: boolean,
): TextNormaliser {
  switch (normalizer ?? (isEnglish ? 'english' : 'basic')) {
    case 'english':
      return englishNormaliser;
    case 'basic':
      return basicNormaliser({ removeDiacritics });
    case 'none':
      return (text) => text.trim();
  }
}

/** True for the code or name of English. */
export function isEnglish(language: string): boolean {
  return /^en(?:g|glish)?(?:[-_]\w+)?$/i.test(language);
}
