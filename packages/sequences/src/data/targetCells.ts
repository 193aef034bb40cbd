/** @file What the cells of a row say is to be predicted, and which part of the data it is in. */

import {
  cellLabels,
  cellNumber,
  cellOneHot,
  cellRefused,
  cellSplit,
  cellText,
  type Row,
  type Split,
} from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../record.ts';
import { isMissing, numberOf } from './columnContents.ts';
import type { TargetColumns } from './targetColumns.ts';

/**
 * The labels and numbers of a row.
 *
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
  throw cellRefused(row, label, row.cells.get(label), 'a class', 'Write it, or remove the row');
}

function valueOf(row: Row, column: string, isNeeded: boolean): number {
  const text = oneText(row, column);
  if (!isMissing(text)) return numberOf(text) ?? cellNumber(row, column);
  if (!isNeeded) return NaN;
  throw cellRefused(row, column, row.cells.get(column), 'a number', 'Write it, or remove the row');
}

/**
 * The split that a row is in.
 *
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

/** The text of a cell; a list of one is that one, as TAPE writes numbers. */
function oneText(row: Row, column: string): string {
  const cell = row.cells.get(column);
  const inner: unknown = Array.isArray(cell) && cell.length === 1 ? cell[0] : cell;
  if (typeof inner === 'number' || typeof inner === 'boolean') return String(inner);
  return typeof inner === 'string' ? inner.trim() : inner === undefined || inner === null ? '' : JSON.stringify(inner);
}
