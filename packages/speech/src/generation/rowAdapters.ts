/** @file The adapters of some rows of a batch. */

import { type AdapterChoice, OnnxLoraError, type RowAdapter } from '@onnx-lora/sdk';

/** The choice for one row. */
export function adapterOf(choice: AdapterChoice, row: number): RowAdapter {
  return isEach(choice) ? choice[row]! : choice;
}

/** The choice for these rows: one for all of them stays what it is. */
export function adaptersOf(choice: AdapterChoice, rows: readonly number[]): AdapterChoice {
  return isEach(choice) ? rows.map((row) => choice[row]!) : choice;
}

/**
 * Where there is one for each row, there are as many as rows.
 *
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function requireEach(choice: AdapterChoice, rows: number): void {
  if (!isEach(choice) || choice.length === rows) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `${choice.length} adapters were given for ${rows} clips. Give one for each, or one for all.`,
  );
}

function isEach(choice: AdapterChoice): choice is readonly RowAdapter[] {
  return Array.isArray(choice);
}
