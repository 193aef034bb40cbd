/** @file Which column of a table holds what. */

import type { OnnxLoraError } from '@onnx-lora/sdk';
import { ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import { nearest } from '@onnx-lora/sdk/plugin';
import type { SequenceColumns, SequenceNeed } from '../sequenceRecord.ts';
import { ColumnContents } from './columnContents.ts';
import { sequenceColumns } from './columnRoles.ts';

/** Columns that a table has, by what they hold. */
export interface FoundColumns {
  readonly sequence?: string | undefined;
  readonly second?: string | undefined;
  readonly id?: string | undefined;
  /** One class. */
  readonly label?: string | undefined;
  /** One column that lists labels. */
  readonly labels?: string | undefined;
  /** Columns of 0 and 1, named after labels. */
  readonly oneHot?: readonly string[] | undefined;
  readonly values?: readonly string[] | undefined;
  readonly residues?: string | undefined;
  readonly mutations?: string | undefined;
  /** Residues at the sites that the wild type's file names. */
  readonly sites?: string | undefined;
  readonly split?: string | undefined;
  /** Other columns that divide the data in another way, where the user did not choose. */
  readonly otherSplits: readonly string[];
  /** FLIP's mark of what is for validation within what is for training. */
  readonly isValidation?: string | undefined;
  readonly group?: string | undefined;
}

/**
 * Finds the columns of a table: by what the user says, by their usual names, and by what they hold.
 *
 * @param hasSites true where the wild type's file names the sites of which a column may hold the residues
 * @throws OnnxLoraError `DATA_INVALID` when the user names one that is not there, or one is missing that is needed
 */
export function findColumns(
  table: Table,
  names: SequenceColumns = {},
  needs: readonly SequenceNeed[] = [],
  hasSites = false,
): FoundColumns {
  const finder = new ColumnFinder(table, sequenceColumns, names);
  const contents = new ColumnContents(table);
  // A column "protein" may hold names.
  const fits = (column: string): boolean => /seq|smiles/i.test(column) || contents.hasSequences(column);
  const sequence =
    finder.one('sequence', fits) ??
    finder.lone((column) => /seq|smiles/i.test(column) && contents.hasSequences(column));
  const isPair = needs.includes('second');
  const second = finder.one('second', fits) ?? (isPair ? finder.usual('sequence', fits) : undefined);
  const variants = finder.one('mutations', (column) => hasSites || contents.hasMutations(column));
  const isSites = variants !== undefined && hasSites && !contents.hasMutations(variants);
  const columns: FoundColumns = {
    sequence,
    second,
    ...(isSites ? { sites: variants } : { mutations: variants }),
    ...splitColumns(finder, contents),
    id: finder.one('id'),
    group: finder.one('group'),
    residues: finder.one('residues'),
    ...targetColumns(finder, contents, needs),
  };
  checkNeeds(finder, columns, needs);
  return columns;
}

/** Columns that say which part of the data a row is in. */
function splitColumns(
  finder: Finder,
  contents: ColumnContents,
): Pick<FoundColumns, 'split' | 'otherSplits' | 'isValidation'> {
  const chosen = finder.chosen('split')[0];
  const usual = chosen ?? finder.usual('split', contents.hasMostlySplits);
  // FLIP's tables have a column for each way to divide them.
  const others = finder.rest.filter(contents.hasSplits);
  others.forEach((column) => finder.take(column));
  const split = usual ?? contents.mostTrained(others);
  const marks = ['validation', `${split}_validation`.toLowerCase()];
  const isValidation = finder.rest.find((column) => marks.includes(column.toLowerCase()) && contents.hasMarks(column));
  finder.take(isValidation);
  return { split, isValidation, otherSplits: chosen === undefined ? others.filter((column) => column !== split) : [] };
}

/** Columns of what is to be predicted. One of numbers may hold classes, or be what is measured: the task takes it as it needs it. */
function targetColumns(
  finder: Finder,
  contents: ColumnContents,
  needs: readonly SequenceNeed[],
): Pick<FoundColumns, 'label' | 'labels' | 'oneHot' | 'values'> {
  const chosenLabels = finder.chosen('labels');
  const oneHot = chosenLabels.length > 1 ? chosenLabels : undefined;
  const labels = oneHot ? undefined : finder.one('labels');
  const named = finder.one('label');
  // A cell that is no number is a mistake where numbers are needed, and is told.
  const numbers = needs.includes('values') ? contents.hasNumbers : contents.hasOnlyNumbers;
  const measured = finder.usual('values', (column) => needs.includes('values') || contents.hasNumbers(column));
  const numbered = [named, labels].find((column) => column !== undefined && numbers(column));
  const own = finder.chosen('values');
  const value = measured ?? numbered ?? finder.lone((column) => numbers(column) && !/^fold_/i.test(column));
  const values = own.length > 0 ? own : value === undefined ? undefined : [value];
  const isLabelNeeded = needs.includes('label') && labels === undefined && oneHot === undefined;
  const target =
    values?.length === 1 && (isLabelNeeded || contents.hasWholeNumbers(values[0]!)) ? values[0] : undefined;
  const label =
    named ??
    target ??
    finder.usual('values', contents.hasClasses) ??
    (isLabelNeeded ? finder.lone(contents.hasClasses) : undefined);
  return { label, labels, oneHot, values };
}

type Finder = ColumnFinder<keyof SequenceColumns>;

/**
 * Looks whether a table has what a task needs, and sequences or mutations in any case.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the columns that there are
 */
function checkNeeds(finder: Finder, columns: FoundColumns, needs: readonly SequenceNeed[]): void {
  if (columns.sequence === undefined && columns.mutations === undefined && columns.sites === undefined)
    throw missing(finder, 'sequence');
  const has: Readonly<Record<SequenceNeed, boolean>> = {
    label: columns.label !== undefined || columns.labels !== undefined,
    labels: columns.labels !== undefined || columns.oneHot !== undefined || columns.label !== undefined,
    values: columns.values !== undefined,
    residues: columns.residues !== undefined,
    second: columns.second !== undefined,
    // They may also be worked out from a wild type.
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
  // Only what begins alike: names are short, and all are near to one another.
  const alike = finder.rest.find((column) => {
    const [near] = nearest(column.toLowerCase(), names);
    return near?.startsWith(column.slice(0, 3).toLowerCase());
  });
  const isData = (column: string): boolean => /^[A-Z]{20,}$/.test(column);
  return finder.missing(role, { what: words[need], isData, header: 'sequence,label' }, alike);
}
