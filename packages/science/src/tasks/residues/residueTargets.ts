/** @file Residues as parts of sequences: one letter and one token each. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Parts, SequenceTokenizer } from '@onnx-lora/sequences';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';

/** Residues. Tokens that stand for several letters, as ESM's `<unk>` does for a run of unknown ones, answer about none. */
export const residues: Parts<SequenceRecord> = {
  noun: 'residues',
  one: 'residue',
  remedy: 'Name the column that has a letter or a word for each residue (--set columns.residues=structure).',
  labelsOf: (record) => record.residues,
  countOf: ({ sequence }) => sequence.length,
  ofTokens: ({ sequence }, tokenizer) => {
    const { ids, starts, ends } = tokenizer.tokens(sequence);
    return ids.map((_, token) => (ends[token] === starts[token]! + 1 ? starts[token] : undefined));
  },
};

/**
 * Refuses tokenizers whose tokens are several letters: an answer of one such token is none about each of its letters.
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
 * An answer for each letter, given one for each token: letters of a token that stands for several share its answer.
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
