/** @file Warns of sequences that do not suit the model: genes for a protein model, letters without tokens. */

import { AlphabetGuess } from '../data/letters.ts';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '@onnx-lora/sequences';

const LOOKED_AT = 200;
/** Letters needed to tell nucleic acids from peptides of the same letters. */
const ENOUGH = 60;
/** Share of unknown tokens that is suspicious; X and the like are rarer. */
const MOST_UNKNOWN = 0.1;
const aminoAcids = 'ACDEFGHIKLMNPQRSTVWY';

/** Warns of sequences that the model can hardly read, from the first records. */
export function unknownLetterWarnings(tokenizer: SequenceTokenizer, records: readonly SequenceRecord[]): string[] {
  const looked = records.slice(0, LOOKED_AT);
  const guess = new AlphabetGuess();
  for (const { sequence } of looked) guess.add(sequence);
  const { alphabet } = guess;
  const letters = looked.reduce((sum, { sequence }) => sum + sequence.length, 0);
  const readsProteins = tokenizer.isPerLetter && tokenizer.tokens(aminoAcids).ids.every((id) => isKnown(tokenizer, id));
  if (readsProteins && (alphabet === 'dna' || alphabet === 'rna') && letters >= ENOUGH) {
    return [
      `The sequences look like ${alphabet.toUpperCase()} (${looked[0]!.where}), but the model reads proteins: it takes A, C, G and T for alanine, cysteine, glycine and threonine. Translate them, or take a model of nucleic acids.`,
    ];
  }
  let [count, unknown] = [0, 0];
  for (const { sequence } of looked) {
    for (const id of tokenizer.tokens(sequence).ids) {
      count++;
      if (!isKnown(tokenizer, id)) unknown++;
    }
  }
  if (unknown <= MOST_UNKNOWN * count) return [];
  return [
    `${Math.round((100 * unknown) / count)}% of the tokens of the sequences are unknown to the model (${looked[0]!.where} is among those that were looked at). Check that it is made for such sequences, and for capitals or small letters as they are.`,
  ];
}

function isKnown(tokenizer: SequenceTokenizer, id: number): boolean {
  return id !== tokenizer.unknownId;
}
