/** @file Finds duplicate sequences within a file and across splits. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { sharedBetweenSplits, sharedWarning } from '@onnx-lora/sdk/data';
import { canonicalSmiles } from '../chemistry/molecules.ts';
import { loadRdkit } from '../chemistry/rdkit.ts';
import type { Alphabet, SequencePart, SequenceRecord } from './sequenceRecord.ts';

/** Maximum molecules compared as canonical SMILES, at some tenths of a millisecond each. */
const MOST_MOLECULES = 50_000;

/** Warnings about sequences, pairs, or molecules in any spelling, that occur in several lists. */
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

/** @throws OnnxLoraError `DATA_INVALID` for an id of different sequences in one file */
export function repeatedRecords(parts: readonly SequencePart[]): string[] {
  return parts.flatMap(({ records, columns }) => {
    const byId = new Map<string, SequenceRecord>();
    let count = 0;
    let example: string | undefined;
    // Rows have ids only where the table has an id column.
    const hasIds = columns === undefined || columns.id !== undefined;
    for (const record of hasIds ? records : []) {
      const first = byId.get(record.id);
      if (!first) byId.set(record.id, record);
      else if (first.sequence === record.sequence && first.second === record.second) {
        count++;
        example ??= `"${record.id}" (${first.where}; ${record.where})`;
      } else throw sameId(first, record, columns?.id);
    }
    if (count === 0) return [];
    return [`${count} records are there twice, with the same id and sequence, such as ${example}.`];
  });
}

function sameId(first: SequenceRecord, second: SequenceRecord, column: string | undefined): OnnxLoraError {
  const place = column === undefined ? second.where : `${second.where}, column "${column}"`;
  const remedy =
    column === undefined
      ? 'Rename one of them.'
      : 'Rename one of them; or, if the column is no name of the row, say which one is: columns: { id }, on the command line --set columns.id=….';
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the id ${JSON.stringify(second.id.slice(0, 60))} is that of another sequence, too (${first.where}). ${remedy}`,
  );
}
