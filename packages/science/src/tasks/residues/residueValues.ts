/** @file From what is known of letters to what is known of tokens, and back. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';

/**
 * Refuses tokenizers whose tokens are several letters: an answer of one such token is none about each of its letters.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function requireLetters(model: string, { isPerLetter }: SequenceTokenizer): void {
  if (isPerLetter) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The tokens of "${model}" are several letters long, so it cannot answer about each of them. Take a model that reads letter by letter, such as ESM-2 or ProtBERT; or give each sequence one label, and take the task sequence-classification or sequence-regression.`,
  );
}

/**
 * What is known of each token of a record, NaN where nothing is: where `numberOf` says so, and of tokens that stand for several
 * letters, as ESM's `<unk>` does for a run of unknown ones.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the record, where it has no labels, or not one for each letter
 */
export function tokenValues(
  record: SequenceRecord,
  tokenizer: SequenceTokenizer,
  numberOf: (residue: string | number, letter: number) => number,
): number[] {
  const { residues, sequence, where, id } = record;
  if (residues?.length !== sequence.length) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      residues
        ? `${where}: "${id}" has ${residues.length} labels for ${sequence.length} residues. Give one to each.`
        : `${where}: "${id}" has no labels of its residues. Name the column that has them, or leave it out.`,
    );
  }
  const { ids, starts, ends } = tokenizer.tokens(sequence);
  return ids.map((_, token) => {
    const letter = starts[token]!;
    const residue = ends[token] === letter + 1 ? residues[letter] : null;
    return residue === null || residue === undefined ? Number.NaN : numberOf(residue, letter);
  });
}

/**
 * An answer for each letter, given one for each token: letters of a token that stands for several share its answer.
 *
 * @returns undefined for letters that no token stands for, as where a sequence was cropped
 */
export function perLetter<T>(
  sequence: string,
  tokenizer: SequenceTokenizer,
  answerOf: (token: number) => T | undefined,
): (T | undefined)[] {
  const { ids, starts, ends } = tokenizer.tokens(sequence);
  const letters = Array.from(sequence, (): T | undefined => undefined);
  for (const token of ids.keys()) letters.fill(answerOf(token), starts[token], ends[token]);
  return letters;
}
