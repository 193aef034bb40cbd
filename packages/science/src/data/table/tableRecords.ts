/** @file Reads a whole table of sequences. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type TaskSuggestion, cellText, type Table, tasksOfColumns } from '@onnx-lora/sdk/data';
import { foldOf, splitWarnings } from '@onnx-lora/sequences';
import { possibleFirstPositions, parseMutations } from '../mutations.ts';
import type { SequenceDataOptions, SequencePart, Substitution } from '../sequenceRecord.ts';
import type { WildType } from '../wildType.ts';
import { sequenceColumns } from './columnRoles.ts';
import { RowReader } from './rowReader.ts';
import { findColumns, type FoundColumns } from './sequenceColumns.ts';

function otherTasks(table: Table, { label, labels }: FoundColumns): readonly TaskSuggestion[] {
  const others = table.columns.filter((column) => column !== (label ?? labels));
  const tasks = { labels: 'sequence-labelling', values: 'sequence-regression', residues: 'residue-classification' };
  return tasksOfColumns(others, sequenceColumns, tasks);
}

/** @throws OnnxLoraError `DATA_INVALID`, naming file, row, column and remedy */
export function tableRecords(table: Table, options: SequenceDataOptions, wildType: WildType | undefined): SequencePart {
  const { firstPosition, needs } = options;
  const columns = findColumns(table, options.columns, needs, wildType?.sites !== undefined);
  options.unused?.add(columns.unused, needs?.includes('label') ? otherTasks(table, columns) : []);
  const fold = foldOf(table, columns.split, options.fold);
  const reader = new RowReader({ columns, needs, wildType, firstPosition, fold });
  try {
    const all = table.rows.map((row) => reader.read(row));
    // With a split column, rows without a split are left out.
    const records = columns.split === undefined ? all : all.filter(({ split }) => split !== undefined);
    return {
      records,
      valueNames: columns.values,
      wildType: reader.wildType,
      splitBy: columns.split === undefined ? undefined : `as the column "${columns.split}" says`,
      alphabet: alphabetOf(columns),
      columns: {
        sequence: columns.sequence ?? columns.mutations ?? columns.sites,
        second: columns.second,
        residues: columns.residues,
        id: columns.id,
      },
      warnings: [...splitWarnings(table, columns, fold, all.length - records.length), ...misfitWarnings(table, reader)],
    };
  } catch (cause) {
    throw withHint(cause, table, columns, wildType);
  }
}

/** The alphabet in the column's name, if any. */
export function alphabetOf({ sequence }: FoundColumns): 'smiles' | 'dna' | 'rna' | undefined {
  const [word] = /smiles|(?:dna|rna)(?=$|_)/i.exec(sequence ?? '') ?? [];
  return word?.toLowerCase() as 'smiles' | 'dna' | 'rna' | undefined;
}

function misfitWarnings({ file }: Table, { misfits }: RowReader): string[] {
  if (misfits === 0) return [];
  return [
    `"${file}": in ${misfits} rows the sequence does not have the mutations that are named beside it; they are left out of account there. Say which number the first letter has (firstPosition) if they are counted otherwise.`,
  ];
}

/** Adds the `firstPosition` that fits all mutations to a misfit error. */
function withHint(
  cause: unknown,
  { rows }: Table,
  { mutations, sequence }: FoundColumns,
  wildType: WildType | undefined,
): unknown {
  const isMisplaced = cause instanceof OnnxLoraError && cause.message.includes('firstPosition');
  if (!isMisplaced || mutations === undefined || sequence !== undefined || !wildType) return cause;
  const all: Substitution[][] = [];
  for (const row of rows) {
    try {
      all.push(parseMutations(cellText(row, mutations) ?? ''));
    } catch {
      // Reported when its row is read.
    }
  }
  const starts = possibleFirstPositions(wildType.sequence, all);
  if (starts.length !== 1) return cause;
  const [start] = starts;
  return new OnnxLoraError(
    cause.code,
    `${cause.message} All mutations fit if the first letter of the wild type is number ${start}: firstPosition: ${start}, on the command line --set firstPosition=${start}.`,
    { cause },
  );
}
