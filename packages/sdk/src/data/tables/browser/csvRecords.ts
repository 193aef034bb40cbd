/** @file Parses CSV on a page: the text at once, by the same parser without streams, which is loaded for the first table. */

import type { Options } from 'csv-parse/browser/esm/sync';
import type { CsvProblem } from '../csvRecords.ts';

export async function* csvRecords<Row>(pieces: AsyncIterable<string>, options: Options): AsyncGenerator<Row> {
  const { parse } = await import('csv-parse/browser/esm/sync');
  let text = '';
  for await (const piece of pieces) text += piece;
  yield* parse(text, options) as unknown as Row[];
}

export function csvProblem(cause: unknown): CsvProblem | undefined {
  const { code, lines, message } = cause as {
    readonly code?: string;
    readonly lines?: number;
    readonly message: string;
  };
  return code?.startsWith('CSV_') ? { lines, message: message.replace(/ at line \d+/, '') } : undefined;
}
