/** @file Which columns of a table say what is to be predicted, what rows are called, and how they are divided. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { cellText, type ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import { listed } from '@onnx-lora/sdk/tasks';
import type { ColumnContents } from './columnContents.ts';

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
  // FLIP's tables have a column for each way to divide them.
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
  return { id, group, label, labels, oneHot, values };
}

/**
 * The fold that is measured on, where the split column numbers folds.
 *
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
 *
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
