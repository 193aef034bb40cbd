/** @file Tells that a table lacks a column. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import type { Table } from '@onnx-lora/sdk/data';
import { nearest } from '@onnx-lora/sdk/plugin';
import type { SequenceNeed } from '../sequenceSource.ts';
import type { FoundColumns } from './foundColumns.ts';
import { usualColumns } from './usualColumns.ts';

/** What the command line calls the settings. */
const settings: Readonly<Record<SequenceNeed | 'sequence', string>> = {
  sequence: 'sequenceColumn',
  second: 'secondColumn',
  label: 'labelColumn',
  labels: 'labelColumns',
  values: 'valueColumns',
  residues: 'residueColumn',
  substitutions: 'mutationColumn',
};

const words: Readonly<Record<SequenceNeed | 'sequence', string>> = {
  sequence: 'sequences',
  second: 'the second sequence of each pair',
  label: 'the class',
  labels: 'labels',
  values: 'numbers to predict',
  residues: 'labels of residues',
  substitutions: 'mutations',
};

/**
 * Looks whether a table has what a task needs, and sequences or mutations in any case.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the columns that there are
 */
export function checkNeeds(table: Table, columns: FoundColumns, needs: readonly SequenceNeed[]): void {
  if (columns.sequence === undefined && columns.mutations === undefined && columns.sites === undefined)
    throw missing(table, columns, 'sequence');
  const has: Readonly<Record<SequenceNeed, boolean>> = {
    label: columns.label !== undefined || columns.labels !== undefined,
    labels: columns.labels !== undefined || columns.oneHot !== undefined || columns.label !== undefined,
    values: columns.values !== undefined,
    residues: columns.residues !== undefined,
    second: columns.second !== undefined,
    // They may also be worked out from a wild type.
    substitutions: true,
  };
  for (const need of needs) if (!has[need]) throw missing(table, columns, need);
}

function missing({ file, columns }: Table, found: FoundColumns, what: SequenceNeed | 'sequence'): OnnxLoraError {
  const role = what === 'substitutions' ? 'mutations' : what;
  const names: readonly string[] = usualColumns[role];
  const taken = new Set(Object.values(found).flat());
  const free = columns.filter((column) => !taken.has(column));
  // Only what begins alike: names are short, and all are near to one another.
  const alike = free.find((column) => {
    const [near] = nearest(column.toLowerCase(), names);
    return near?.startsWith(column.slice(0, 3).toLowerCase());
  });
  const shown = alike ?? free[free.length - 1] ?? '…';
  const option = role === 'values' || role === 'labels' ? `['${shown}']` : `'${shown}'`;
  const looksLikeData = columns.some((column) => /^[A-Z]{20,}$/.test(column));
  const remedy = looksLikeData
    ? 'Its first line looks like data: put a header before it, such as "sequence,label".'
    : `${alike === undefined ? '' : `Did you mean "${alike}"? `}Rename one, or say which it is: columns: { ${role}: ${option} }, on the command line --set ${settings[what]}=${shown}.`;
  return new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has no column for ${words[what]}, such as ${listed(names.slice(0, 4))}. Its columns: ${listed(columns, 12)}. ${remedy}`,
  );
}
