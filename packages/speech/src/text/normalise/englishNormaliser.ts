/** @file The normaliser for English, as Whisper's evaluation has it. */

import { readFileSync } from 'node:fs';
import { wordsOf } from '@onnx-lora/sdk/tasks';
import {
  edge,
  singleSpaced,
  space,
  type TextNormaliser,
  withoutBrackets,
  withoutDiacritics,
} from './basicNormaliser.ts';
import { englishNumbers } from './englishNumbers.ts';

/** Whole words and what they stand for. A title has a space behind it, for a full stop that follows at once. */
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

/** Ends of words; perfect tenses come before what the same letters say elsewhere. */
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

// One after the other, since what one writes another may change.
const replacements: readonly (readonly [RegExp, string])[] = [
  ...Object.entries(wholeWords).map(([word, full]) => [new RegExp(edge + word + edge, 'gu'), full] as const),
  ...Object.entries(endings).map(([ending, full]) => [new RegExp(ending + edge, 'gu'), full] as const),
];
const hesitations = new RegExp(`${edge}(?:hmm|mm|mhm|mmm|uh|um)${edge}`, 'gu');
const spacedApostrophe = new RegExp(`[${space}]+'`, 'gu');

/**
 * English in one form: lower case without punctuation and hesitations, contractions written out, numbers as digits, American
 * spelling. The same as Whisper's `EnglishTextNormalizer`, white space at the ends too; the error rates do not count that.
 *
 * @see Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), arXiv:2212.04356, appendix C
 */
export const englishNormaliser: TextNormaliser = (text) => {
  let said = withoutBrackets(text.toLowerCase()).replace(hesitations, '').replace(spacedApostrophe, "'");
  for (const [pattern, full] of replacements) said = said.replace(pattern, full);
  said = said.replace(/(\p{Nd}),(\p{Nd})/gu, '$1$2').replace(/\.([^0-9]|$)/gu, ' $1');
  said = englishNumbers(withoutDiacritics(said, '.%$¢€£'));
  said = wordsOf(said).map(americanSpelling).join(' ');
  // Signs that belong to no number.
  return singleSpaced(said.replace(/[.$¢€£]([^0-9])/gu, ' $1').replace(/([^0-9])%/gu, '$1 '));
};

/** British spellings and their American ones, of Whisper's evaluation. */
let spellings: ReadonlyMap<string, string> | undefined;

/** The American spelling of a word in lower case; other words as they are. */
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
