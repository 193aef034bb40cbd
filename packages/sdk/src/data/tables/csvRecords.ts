/** @file Parses CSV. On a page, `browser/csvRecords.ts` takes this file's place. */

import { Readable } from 'node:stream';
import { CsvError, type Options, parse } from 'csv-parse';

/** The records of a text in pieces. @throws Error that {@link csvProblem} knows; what `pieces` throws */
export async function* csvRecords<Row>(pieces: AsyncIterable<string>, options: Options): AsyncGenerator<Row> {
  // Rows with a wrong number of cells are the caller's to report.
  const parser = parse(options);
  const input = Readable.from(pieces, { objectMode: false });
  input.once('error', (error) => parser.destroy(error));
  try {
    yield* input.pipe(parser) as AsyncIterable<Row>;
  } finally {
    input.destroy();
  }
}

/** A text that is no CSV. */
export interface CsvProblem {
  /** Lines up to the problem, if known. */
  readonly lines: number | undefined;
  readonly message: string;
}

/** The problem of an error of {@link csvRecords}; undefined for other errors. */
export function csvProblem(cause: unknown): CsvProblem | undefined {
  if (!(cause instanceof CsvError)) return undefined;
  const lines = typeof cause['lines'] === 'number' ? cause['lines'] : undefined;
  return { lines, message: cause.message.replace(/ at line \d+/, '') };
}
