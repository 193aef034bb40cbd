/** @file Reads the data: a table that names a file and its value in each row. Change: how your data are laid out. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellNumber,
  cellText,
  checkFraction,
  fileInside,
  readTable,
  splitRecords,
  tableEndings,
} from '@onnx-lora/sdk/data';

/** A file, and the number that the model shall learn to say of it. */
export interface Sample {
  readonly file: string;
  readonly value: number;
}

/** Samples to train on and, where some are held out, to measure on. */
export interface SampleSplit {
  readonly train: readonly Sample[];
  readonly validation?: readonly Sample[];
}

/**
 * The samples of a table with the columns `path`, from the table's own folder, and `value`.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the line
 */
export async function readSamples(file: string): Promise<Sample[]> {
  const { rows, columns } = await readTable(file);
  for (const column of ['path', 'value']) {
    if (columns.includes(column)) continue;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column "${column}", only ${columns.join(', ')}. Give a table (${tableEndings.join(', ')}) with the columns path and value.`,
    );
  }
  return rows.map((row) => {
    const name = cellText(row, 'path');
    if (name === undefined)
      throw new OnnxLoraError('DATA_INVALID', `${row.place}: the path is empty. Name a file, or remove the line.`);
    return { file: fileInside(path.dirname(file), name, row.place, 'the table'), value: cellNumber(row, 'value') };
  });
}

/**
 * Samples in their splits.
 * @param validation another table, or the fraction that is held out, the same for the same seed; 0 for nothing
 * @throws OnnxLoraError as {@link readSamples}
 */
export async function readSplit(file: string, validation: string | number, seed: number): Promise<SampleSplit> {
  const samples = await readSamples(file);
  if (typeof validation === 'string') return { train: samples, validation: await readSamples(validation) };
  if (validation === 0) return { train: samples };
  checkFraction(validation);
  const { kept, held } = splitRecords(samples, validation, seed, (sample) => ({ key: sample.file }));
  return held.length > 0 ? { train: kept, validation: held } : { train: kept };
}
