/** @file Token ids of residues, one per letter. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Substitution } from '../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';

/**
 * The ids of a sequence's letters.
 *
 * @param what what the sequence is called in errors
 * @throws OnnxLoraError `DATA_INVALID` for the first letter that the vocabulary does not have
 */
export function letterIds(tokenizer: SequenceTokenizer, sequence: string, what: string): readonly number[] {
  const { ids } = tokenizer.tokens(sequence);
  if (ids.length === 0) throw new OnnxLoraError('DATA_INVALID', `There are no residues in ${what}. Leave it out.`);
  if (ids.length === sequence.length && !ids.includes(tokenizer.unknownId ?? NaN)) return ids;
  const at = [...sequence].findIndex((letter) => !isKnown(tokenizer, letter));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The model has no token for "${sequence[at] ?? ''}" at position ${at + 1} of ${what}. Write residues in capital letters; X stands for one that is not known.`,
  );
}

/**
 * The id of the residue that a substitution puts in.
 *
 * @throws OnnxLoraError `DATA_INVALID` where the vocabulary does not have it, naming the substitution
 */
export function substituteId(tokenizer: SequenceTokenizer, { from, position, to }: Substitution): number {
  if (isKnown(tokenizer, to)) return tokenizer.tokens(to).ids[0]!;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The model has no token for "${to}", which ${from}${position}${to} puts in. Write residues in capital letters, one for each position.`,
  );
}

function isKnown(tokenizer: SequenceTokenizer, letter: string): boolean {
  const { ids } = tokenizer.tokens(letter);
  return letter.length === 1 && ids.length === 1 && ids[0] !== tokenizer.unknownId;
}
