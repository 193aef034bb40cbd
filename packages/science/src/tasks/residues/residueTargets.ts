/** @file Residues as parts of sequences: one letter and one token each. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Parts, SequenceTokenizer } from '@onnx-lora/sequences';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';

/** Residues. Tokens of several letters, as ESM's `<unk>` for a run of unknown ones, have no answer. */
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

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for tokens of several letters, whose answers are not about each */
export function requireLetters(model: string, { isPerLetter }: SequenceTokenizer): void {
  if (isPerLetter) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The tokens of "${model}" are several letters long, so it cannot answer about each of them. Take a model that reads letter by letter, such as ESM-2 or ProtBERT; or give each sequence one label, and take the task sequence-classification or sequence-regression.`,
  );
}

/** The answer of each letter's token; undefined for letters without one, as when cropped. */
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
