/** @file Reads series: a CSV file with a column for the time and one for each variable. */

import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { cellNumber, cellError, cellText, readTable, type Row } from '@onnx-lora/sdk/data';

/**
 * The readings of a file, in its order: `[rows, variables]`. Without a column `time` rows are taken to be equally far apart;
 * with one it is checked.
 *
 * @param variables names of the columns
 * @param fewest how many rows there must be
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, line and column
 */
export async function readReadings(file: string, variables: readonly string[], fewest: number): Promise<Tensor> {
  const { rows, columns } = await readTable(file);
  const missing = variables.find((name) => !columns.includes(name));
  if (missing !== undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column "${missing}", which the model forecasts. Its columns are ${columns.join(', ')}: rename one.`,
    );
  }
  if (rows.length < fewest) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has ${rows.length} rows, but at least ${fewest} are needed. Give a longer series.`,
    );
  }
  if (columns.includes('time')) requireEvenTimes(rows);
  const values = rows.flatMap((row) => variables.map((name) => cellNumber(row, name)));
  return float32(values, [rows.length, variables.length]);
}

/** A window across a gap would teach the model steps of another length. */
function requireEvenTimes(rows: readonly Row[]): void {
  const times = rows.map(timeOf);
  const step = times[1]! - times[0]!;
  const gap = times.findIndex((time, i) => i > 0 && !(time > times[i - 1]! && Math.abs(time - times[0]! - i * step) < step / 2)); // prettier-ignore
  if (gap < 0) return;
  const row = rows[gap]!;
  throw cellError(row, 'time', row.cells.get('time'), 'one step after the row above', 'Sort the rows, and fill in what is missing'); // prettier-ignore
}

/** A number, or milliseconds since 1970. */
function timeOf(row: Row): number {
  const text = cellText(row, 'time') ?? '';
  const time = Number.isNaN(Number(text)) ? Date.parse(text) : Number(text);
  if (text !== '' && Number.isFinite(time)) return time;
  throw cellError(row, 'time', text, 'a number or a date', 'Write it as 2026-01-31T12:00Z');
}
