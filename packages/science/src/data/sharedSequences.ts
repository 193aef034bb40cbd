/** @file Finds sequences that are in more than one split. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { sharedBetweenSplits, sharedWarning } from '@onnx-lora/sdk/data';
import { canonicalSmiles } from '../chemistry/molecules.ts';
import { loadRdkit } from '../chemistry/rdkit.ts';
import type { Alphabet, SequenceRecord } from './sequenceRecord.ts';

/** Molecules up to which all ways to write one are known as the same; it takes some tenths of a millisecond for each. */
const MOST_MOLECULES = 50_000;

/** Warnings about sequences, or pairs of them, that are in two of the lists; molecules however they are written. */
export async function sharedSequences(
  splits: readonly (readonly SequenceRecord[])[],
  alphabet: Alphabet | undefined,
): Promise<string[]> {
  if (splits.length < 2) return [];
  const count = splits.reduce((sum, { length }) => sum + length, 0);
  const spelling =
    alphabet === 'smiles' && count <= MOST_MOLECULES ? await canonicalSpelling() : (text: string) => text;
  const shared = sharedBetweenSplits(splits, ({ sequence, second }) =>
    second === undefined ? spelling(sequence) : `${spelling(sequence)} ${second}`,
  );
  return sharedWarning(shared, 'sequences are', ([[first], [second]]) => `"${first!.where}" and "${second!.where}"`);
}

async function canonicalSpelling(): Promise<(smiles: string) => string> {
  const rdkit = await loadRdkit();
  return (smiles) => {
    try {
      return canonicalSmiles(rdkit, smiles);
    } catch (cause) {
      // Records that were read before may hold anything.
      if (cause instanceof OnnxLoraError) return smiles;
      throw cause;
    }
  };
}
