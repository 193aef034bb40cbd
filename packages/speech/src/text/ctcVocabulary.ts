/** @file A new vocabulary for a CTC model that is to write a language it does not know. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { CtcTokenizerOptions } from '@onnx-lora/sdk/tasks';

/** The names that {@link ctcVocabulary} gives the tokens that are no characters, for `CtcTokenizer`. */
export const newVocabularyTokens: Required<Pick<CtcTokenizerOptions, 'blank' | 'unknown' | 'wordDelimiter'>> = {
  blank: '[PAD]',
  unknown: '[UNK]',
  wordDelimiter: '|',
};

/**
 * The characters of transcripts in the order of their code points, with `|` for a space, and after them the unknown token and
 * the blank: labels for a new head, by id.
 *
 * @param normalise what makes a transcript what the model shall write, such as a text without punctuation; as it is by default
 * @throws OnnxLoraError `DATA_INVALID` when no transcript has a character
 * @see https://huggingface.co/blog/fine-tune-xlsr-wav2vec2, whose vocabularies are made in this way
 */
export function ctcVocabulary(
  texts: Iterable<string>,
  normalise: (text: string) => string = (text) => text,
): readonly string[] {
  const { blank, unknown, wordDelimiter } = newVocabularyTokens;
  const characters = new Set<string>();
  for (const text of texts) for (const character of normalise(text).normalize('NFC')) characters.add(character);
  for (const character of characters) if (/\s/u.test(character)) characters.delete(character);
  characters.delete(wordDelimiter);
  if (characters.size === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'No transcript has a character, so there is nothing to make a vocabulary of. Check which column of the data holds the transcripts.',
    );
  }
  const sorted = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  return [...sorted, wordDelimiter, unknown, blank];
}
