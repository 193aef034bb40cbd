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
import { listed } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../record.ts';
import { type ColumnContents, isMissing, numberOf } from './columnContents.ts';

/** Columns that a table has, by what they hold. */
export interface TargetColumns {
  /** What rows are called. */
  readonly id?: string | undefined;
  /** What is never divided between splits. */
  readonly group?: string | undefined;
  /** One class. */
  readonly label?: string | undefined;
  /** One column that lists labels. */
  readonly labels?: string | undefined;
  /** Columns of 0 and 1, named after labels. */
  readonly oneHot?: readonly string[] | undefined;
  /** Numbers to predict. */
  readonly values?: readonly string[] | undefined;
  /** `train`, `validation` or `test`, or the number of a fold. */
  readonly split?: string | undefined;
  /** Other columns that divide the data in another way, where the user did not choose. */
  readonly otherSplits: readonly string[];
  /** FLIP's mark of what is for validation within what is for training. */
  readonly isValidation?: string | undefined;
}

/** Hands out the columns of a table, which may have other roles, too. */
export type TargetFinder = ColumnFinder<'id' | 'group' | 'label' | 'labels' | 'values' | 'split'>;

/** Columns that say which part of the data a row is in. */
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

/** Columns of names, groups, and what is to be predicted. One of numbers may hold classes, or be what is measured: the task takes it as it needs it. */
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
  // A cell that is not a number is reported where numbers are needed.
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
 * The fold that is measured on, where the split column numbers folds.
 * @param fold that is asked for
 * @throws OnnxLoraError `DATA_INVALID` where there is no such fold
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

/**
 * What its owner should know of how a table is divided.
 * @param fold that is measured on
 * @param leftOut rows that name no split
 */
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
          `"${file}" divides the data in several ways. "${split}" is used, which has most rows to train on; the others are ${listed(otherSplits, 10)}. Choose one: columns: { split: '${otherSplits[0]}' }, on the command line --set columns.split=${otherSplits[0]}.`,
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
 * The labels and numbers of a row.
 * @param needs what every row must have
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
 * The split that a row is in.
 * @param fold that is measured on, where the column numbers folds
 * @throws OnnxLoraError `DATA_INVALID` for another word than train, validation, test and what is usual for these
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

/** Text of a cell; a list of one counts as its item, as TAPE writes numbers. */
function oneText(row: Row, column: string): string {
  const cell = row.cells.get(column);
  const inner: unknown = Array.isArray(cell) && cell.length === 1 ? cell[0] : cell;
  if (typeof inner === 'number' || typeof inner === 'boolean') return String(inner);
  return typeof inner === 'string' ? inner.trim() : inner === undefined || inner === null ? '' : JSON.stringify(inner);
}
