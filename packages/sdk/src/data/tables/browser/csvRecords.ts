/** @file Parses CSV on a page: the text at once, by the same parser without streams, which is loaded for the first table. */

import type { CsvError, Options } from 'csv-parse/browser/esm/sync';
import type { CsvProblem } from '../csvRecords.ts';

/** The parser's errors, once it is loaded. */
let Problem: typeof CsvError | undefined;

export async function* csvRecords<Row>(pieces: AsyncIterable<string>, options: Options): AsyncGenerator<Row> {
  const parser = await import('csv-parse/browser/esm/sync');
  Problem = parser.CsvError;
  let text = '';
  for await (const piece of pieces) text += piece;
  yield* parser.parse(text, options) as unknown as Row[];
}

export function csvProblem(cause: unknown): CsvProblem | undefined {
  if (!Problem || !(cause instanceof Problem)) return undefined;
  const lines = typeof cause['lines'] === 'number' ? cause['lines'] : undefined;
  return { lines, message: cause.message.replace(/ at line \d+/, '') };
}
