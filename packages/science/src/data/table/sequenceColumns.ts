/** @file Finds the columns of a sequence table. */

import type { OnnxLoraError } from '@onnx-lora/sdk';
import { ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import { nearest } from '@onnx-lora/sdk/plugin';
import { ColumnContents, splitColumns, targetColumns, type TargetColumns } from '@onnx-lora/sequences';
import { areMutations, isWildType } from '../mutations.ts';
import type { SequenceColumns, SequenceNeed } from '../sequenceRecord.ts';
import { sequenceColumns } from './columnRoles.ts';

class SequenceContents extends ColumnContents {
  readonly hasSequences = (column: string): boolean => {
    const texts = this.textsOf(column);
    return texts.length === 0 || texts.filter((text) => /^[A-Za-z][^,;]*$|^[[(]/.test(text)).length > texts.length / 2;
  };

  hasMutations(column: string): boolean {
    const texts = this.textsOf(column).filter((text) => !isWildType(text));
    return texts.filter(areMutations).length > texts.length / 2;
  }
}

export interface FoundColumns extends TargetColumns {
  readonly sequence?: string | undefined;
  readonly second?: string | undefined;
  readonly residues?: string | undefined;
  readonly mutations?: string | undefined;
  /** Residues at the sites that the wild type's file names. */
  readonly sites?: string | undefined;
  readonly unused: readonly string[];
}

/**
 * Finds the columns of a table by the user's names, usual names and contents.
 * @param hasSites whether the wild type's file names sites whose residues a column may hold
 * @throws OnnxLoraError `DATA_INVALID` for a named column that does not exist, or a missing required one
 */
export function findColumns(
  table: Table,
  names: SequenceColumns = {},
  needs: readonly SequenceNeed[] = [],
  hasSites = false,
): FoundColumns {
  const finder = new ColumnFinder(table, sequenceColumns, names);
  const contents = new SequenceContents(table);
  // A column "protein" may hold names.
  const fits = (column: string): boolean => /seq|smiles/i.test(column) || contents.hasSequences(column);
  const sequence =
    finder.one('sequence', fits) ??
    finder.lone((column) => /seq|smiles/i.test(column) && contents.hasSequences(column));
  const isPair = needs.includes('second');
  const second = finder.one('second', fits) ?? (isPair ? finder.usual('sequence', fits) : undefined);
  const variants = finder.one('mutations', (column) => hasSites || contents.hasMutations(column));
  const isSites = variants !== undefined && hasSites && !contents.hasMutations(variants);
  const columns = {
    sequence,
    second,
    ...(isSites ? { sites: variants } : { mutations: variants }),
    ...splitColumns(finder, contents),
    residues: finder.one('residues'),
    ...targetColumns(finder, contents, needs),
  };
  checkNeeds(finder, columns, needs);
  return { ...columns, unused: finder.rest };
}

type Finder = ColumnFinder<keyof SequenceColumns>;

/** Requires sequences or mutations in any case; errors name the existing columns. */
function checkNeeds(finder: Finder, columns: Omit<FoundColumns, 'unused'>, needs: readonly SequenceNeed[]): void {
  if (columns.sequence === undefined && columns.mutations === undefined && columns.sites === undefined)
    throw missing(finder, 'sequence');
  const has: Readonly<Record<SequenceNeed, boolean>> = {
    label: columns.label !== undefined || columns.labels !== undefined,
    labels: columns.labels !== undefined || columns.oneHot !== undefined || columns.label !== undefined,
    values: columns.values !== undefined,
    residues: columns.residues !== undefined,
    second: columns.second !== undefined,
    // May be derived from a wild type.
    substitutions: true,
  };
  for (const need of needs) if (!has[need]) throw missing(finder, need);
}

const words: Readonly<Record<SequenceNeed | 'sequence', string>> = {
  sequence: 'sequences',
  second: 'the second sequence of each pair',
  label: 'the class',
  labels: 'labels',
  values: 'numbers to predict',
  residues: 'labels of residues',
  substitutions: 'mutations',
};

function missing(finder: Finder, need: SequenceNeed | 'sequence'): OnnxLoraError {
  const role = need === 'substitutions' ? 'mutations' : need;
  const names = sequenceColumns[role].usual!;
  // Suggests only names with the same beginning: short names are all close to each other.
  const alike = finder.rest.find((column) => {
    const [near] = nearest(column.toLowerCase(), names);
    return near?.startsWith(column.slice(0, 3).toLowerCase());
  });
  const isData = (column: string): boolean => /^[A-Z]{20,}$/.test(column);
  return finder.missing(role, { what: words[need], isData, header: 'sequence,label' }, alike);
}
