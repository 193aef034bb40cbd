/** @file Reads the data: a table that names a file and its label in each row. Change: how your data are laid out. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellText,
  checkFraction,
  fileInside,
  type Row,
  readTable,
  splitRecords,
  tableEndings,
} from '@onnx-lora/sdk/data';

/** A file, and the label that the model shall learn to give it. */
export interface Sample {
  readonly file: string;
  readonly label: string;
  /** The line of the table, for messages. */
  readonly place: string;
}

/** Samples to train on and, where some are held out, to measure on. */
export interface SampleSplit {
  readonly train: readonly Sample[];
  readonly validation?: readonly Sample[];
}

/**
 * The samples of a table with the columns `path`, from the table's own folder, and `label`.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the line
 */
export async function readSamples(file: string): Promise<Sample[]> {
  const { rows, columns } = await readTable(file);
  for (const column of ['path', 'label']) {
    if (columns.includes(column)) continue;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column "${column}", only ${columns.join(', ')}. Give a table (${tableEndings.join(', ')}) with the columns path and label.`,
    );
  }
  const text = (row: Row, column: string, remedy: string): string => {
    const cell = cellText(row, column);
    if (cell !== undefined) return cell;
    throw new OnnxLoraError('DATA_INVALID', `${row.place}: the ${column} is empty. ${remedy}, or remove the line.`);
  };
  return rows.map((row) => ({
    file: fileInside(path.dirname(file), text(row, 'path', 'Name a file'), row.place, 'the table'),
    label: text(row, 'label', 'Give one'),
    place: row.place,
  }));
}

/**
 * Samples in their splits.
 * @param validation another table, or the fraction of each class that is held out, the same for the same seed; 0 for nothing
 * @throws OnnxLoraError as {@link readSamples}
 */
export async function readSplit(file: string, validation: string | number, seed: number): Promise<SampleSplit> {
  const samples = await readSamples(file);
  if (typeof validation === 'string') return { train: samples, validation: await readSamples(validation) };
  if (validation === 0) return { train: samples };
  checkFraction(validation);
  const { kept, held } = splitRecords(samples, validation, seed, ({ file: key, label }) => ({ key, label }));
  return held.length > 0 ? { train: kept, validation: held } : { train: kept };
}
