/** @file Columns of targets, ids, groups and splits of a table, and their cells. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellNumber,
  cellOneHot,
  cellError,
  cellSplit,
  cellText,
  type ColumnFinder,
  type Row,
  type Split,
  type Table,
} from '@onnx-lora/sdk/data';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../record.ts';
import { type ColumnContents, isMissing, numberOf } from './columnContents.ts';

/** Columns of a table by role. */
export interface TargetColumns {
  /** Name of the row. */
  readonly id?: string | undefined;
  /** Group that splitting keeps together. */
  readonly group?: string | undefined;
  /** One class per row. */
  readonly label?: string | undefined;
  /** One column with a list of labels. */
  readonly labels?: string | undefined;
  /** A column of 0 and 1 per label. */
  readonly oneHot?: readonly string[] | undefined;
  /** Numbers to predict. */
  readonly values?: readonly string[] | undefined;
  /** `train`, `validation` or `test`, or the number of a fold. */
  readonly split?: string | undefined;
  /** Other split columns, if the user chose none. */
  readonly otherSplits: readonly string[];
  /** FLIP's mark of validation rows within the training set. */
  readonly isValidation?: string | undefined;
}

/** Assigns a table's columns to roles, also to other ones than these. */
export type TargetFinder = ColumnFinder<'id' | 'group' | 'label' | 'labels' | 'values' | 'split'>;

/** Finds the columns that assign rows to splits. */
export function splitColumns(
  finder: TargetFinder,
  contents: ColumnContents,
): Pick<TargetColumns, 'split' | 'otherSplits' | 'isValidation'> {
  const chosen = finder.chosen('split')[0];
  const usual = chosen ?? finder.usual('split', contents.hasMostlySplits);
  // FLIP's tables have a column per split.
  const others = finder.rest.filter(contents.hasSplits);
  others.forEach((column) => finder.take(column));
  const split = usual ?? contents.mostTrained(others);
  const marks = ['validation', `${split}_validation`.toLowerCase()];
  const isValidation = finder.rest.find((column) => marks.includes(column.toLowerCase()) && contents.hasMarks(column));
  finder.take(isValidation);
  return { split, isValidation, otherSplits: chosen === undefined ? others.filter((column) => column !== split) : [] };
}

/** Finds the columns of ids, groups and targets. The task decides whether numbers are classes or values. */
export function targetColumns(
  finder: TargetFinder,
  contents: ColumnContents,
  needs: readonly string[],
): Omit<TargetColumns, 'split' | 'otherSplits' | 'isValidation'> {
  const [id, group] = [finder.one('id'), finder.one('group')];
  const chosenLabels = finder.chosen('labels');
  const oneHot = chosenLabels.length > 1 ? chosenLabels : undefined;
  const labels = oneHot ? undefined : finder.one('labels');
  const named = finder.one('label');
  // Tasks that need numbers report cells without one.
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
  return { id, group, label, labels, oneHot, values };
}

/**
 * The validation fold, if the split column has fold numbers; `fold` is the requested one.
 * @throws OnnxLoraError `DATA_INVALID` if the column lacks the fold
 */
export function foldOf({ rows, file }: Table, split: string | undefined, fold = 0): number | undefined {
  if (split === undefined) return undefined;
  const folds = new Set(rows.map((row) => cellText(row, split) ?? ''));
  if ([...folds].some((each) => !/^\d+$/.test(each))) return undefined;
  if (folds.has(String(fold))) return fold;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}", column "${split}": there is no fold ${fold}. Its folds are ${[...folds].sort().slice(0, 20).join(', ')}; choose one of them (fold).`,
  );
}

/** Warnings about a table's split; `fold` is the validation fold, `leftOut` the number of rows without a split. */
export function splitWarnings(
  { file }: Table,
  { split, otherSplits }: TargetColumns,
  fold: number | undefined,
  leftOut: number,
): string[] {
  if (split === undefined) return [];
  return [
    ...(otherSplits.length > 0
      ? [
          `"${file}" divides the data in several ways. "${split}" is used, which has most rows to train on; the others are ${quotedNames(otherSplits, 10)}. Choose one: columns: { split: '${otherSplits[0]}' }, on the command line --set columns.split=${otherSplits[0]}.`,
        ]
      : []),
    ...(fold === undefined ? [] : [`Fold ${fold} of column "${split}" is measured on; the others are trained on.`]),
    ...(leftOut > 0
      ? [
          `"${file}": ${leftOut} rows name no split in column "${split}" and are left out. Write "train" where they are to be trained on.`,
        ]
      : []),
  ];
}

/**
 * Labels and numbers of a row, which must have the targets in `needs`.
 * @throws OnnxLoraError `DATA_INVALID`, naming row, column and remedy
 */
export function targetsOf(
  row: Row,
  columns: TargetColumns,
  needs: readonly string[],
): Pick<SequenceRecord, 'labels' | 'values'> {
  const labels = labelsOf(row, columns, needs);
  const values = columns.values?.map((column) => valueOf(row, column, columns.values?.length === 1 && needs.includes('values'))); // prettier-ignore
  return { ...(labels ? { labels } : {}), ...(values ? { values } : {}) };
}

function labelsOf(
  row: Row,
  { label, labels, oneHot }: TargetColumns,
  needs: readonly string[],
): readonly string[] | undefined {
  if (oneHot) return cellOneHot(row, oneHot);
  if (labels !== undefined && (label === undefined || needs.includes('labels'))) return cellLabels(row, labels);
  if (label === undefined) return undefined;
  const text = oneText(row, label);
  if (!isMissing(text)) return needs.includes('labels') ? cellLabels(row, label) : [text];
  if (!needs.includes('label')) return undefined;
  throw cellError(row, label, row.cells.get(label), 'a class', 'Write it, or remove the row');
}

function valueOf(row: Row, column: string, isNeeded: boolean): number {
  const text = oneText(row, column);
  if (!isMissing(text)) return numberOf(text) ?? cellNumber(row, column);
  if (!isNeeded) return NaN;
  throw cellError(row, column, row.cells.get(column), 'a number', 'Write it, or remove the row');
}

/**
 * The split of a row; `fold` is the validation fold of a column with fold numbers.
 * @throws OnnxLoraError `DATA_INVALID` for a word other than train, validation, test and their usual synonyms
 */
export function splitOf(
  row: Row,
  { split: column, isValidation }: TargetColumns,
  fold: number | undefined,
): { readonly split?: Split } {
  if (column === undefined) return {};
  if (fold !== undefined) return { split: cellNumber(row, column) === fold ? 'validation' : 'train' };
  const split = cellSplit(row, column);
  const isMarked = isValidation !== undefined && /^(?:true|1|1\.0)$/i.test(cellText(row, isValidation) ?? '');
  if (isMarked && split !== 'test') return { split: 'validation' };
  return split === undefined ? {} : { split };
}

/** Unwraps a list of one item: TAPE writes numbers this way. */
function oneText(row: Row, column: string): string {
  const cell = row.cells.get(column);
  const inner: unknown = Array.isArray(cell) && cell.length === 1 ? cell[0] : cell;
  if (typeof inner === 'number' || typeof inner === 'boolean') return String(inner);
  return typeof inner === 'string' ? inner.trim() : inner === undefined || inner === null ? '' : JSON.stringify(inner);
}
