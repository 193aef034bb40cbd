/** @file Where a record comes from, in the messages of what goes wrong with it. */

import { OnnxLoraError } from '../../errors.ts';

/** A record of a file. */
export interface PlacedRecord {
  /** Path of the file. */
  readonly file: string;
  /** Where it comes from: `labels.csv, line 12`; the file itself where a folder says all. */
  readonly place: string;
}

/** What a record is called in messages: its file, and the line of the manifest that names it, where there is one. */
export function nameOfRecord({ file, place }: PlacedRecord): string {
  return place === file ? file : `${file} (${place})`;
}

/**
 * What `load` gives for a record.
 *
 * @throws what `load` throws; an OnnxLoraError also says in which line of which manifest the record is
 */
export async function withSourceLocation<T>({ file, place }: PlacedRecord, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError) || place === file || cause.message.includes(place)) throw cause;
    throw new OnnxLoraError(cause.code, `${place}: ${cause.message}`, { cause });
  }
}
