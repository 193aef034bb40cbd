/** @file How transcripts are made alike before they are compared. */

import { basicNormaliser, type TextNormaliser } from '../text/normalise/basicNormaliser.ts';
import { englishNormaliser } from '../text/normalise/englishNormaliser.ts';

/** What does not count as an error. */
export interface ScoringOptions {
  /**
   * Whisper's normalisers: `english` (spelling, numbers, contractions), or `basic` (case and punctuation), and `none`, for which
   * every character counts. By default `english` where the language is English, or the model knows no other and none is
   * named, and `basic` else.
   */
  readonly normalizer?: 'english' | 'basic' | 'none' | undefined;
  /** Whether `basic` removes accents and the like; false by default. `english` always does. */
  readonly removeDiacritics?: boolean | undefined;
}

/**
 * The normaliser for error rates.
 *
 * @param isEnglish whether the language is English
 */
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

/** Whether a language, by code or name, is English. */
export function isEnglish(language: string): boolean {
  return /^en(?:g|glish)?(?:[-_]\w+)?$/i.test(language);
}
