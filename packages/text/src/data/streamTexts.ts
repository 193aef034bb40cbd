/** @file Reads texts one by one, however many there are. */

import { extname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Line, linesOf, openTable, type Row, type TableFormat } from '@onnx-lora/sdk/data';
import { openBytes, openParquet, PARQUET, type SequenceRecord, type StreamedRecord } from '@onnx-lora/sequences';
import { findColumns, recordOf } from './textColumns.ts';
import type { TextDataOptions } from './textRecord.ts';

const endingsOf: Readonly<Record<TableFormat | 'lines', readonly string[]>> = {
  csv: ['.csv'],
  tsv: ['.tsv'],
  jsonl: ['.jsonl', '.ndjson'],
  lines: ['.txt'],
};

/** Endings of files of texts, each also with `.gz` after it. */
export const textEndings: readonly string[] = Object.values(endingsOf)
  .flat()
  .flatMap((each) => [each, `${each}.gz`])
  .concat(PARQUET);

/**
 * How a file is written: as its name tells, or its first bytes.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a file that is no text
 */
export function formatOf(name: string, head: Uint8Array): TableFormat | 'lines' {
  if (head.includes(0)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is no text in UTF-8. Save a spreadsheet as CSV; texts are read from ${textEndings.filter((each) => !each.endsWith('.gz')).join(', ')}.`,
    );
  }
  const ending = extname(name.toLowerCase().replace(/\.gz$/, ''));
  const named = (Object.keys(endingsOf) as (keyof typeof endingsOf)[]).find((each) => endingsOf[each].includes(ending));
  if (named) return named;
  const [line = ''] = new TextDecoder().decode(head).replace(/^\uFEFF/, '').trimStart().split(/\r\n|\n|\r/, 1); // prettier-ignore
  if (line.startsWith('{')) return 'jsonl';
  // A header is words; a sentence may have commas, too.
  if (line.includes('\t')) return 'tsv';
  return /^"?\w+"?([,;]"?\w+"?)+$/.test(line) ? 'csv' : 'lines';
}

/** The text of a line. */
export function recordOfLine(name: string, { text, number }: Line): SequenceRecord {
  return { id: String(number), sequence: text, where: `${name}, line ${number}` };
}

/** Rows that are looked at to find out what columns are. */
const LOOKED_AT = 200;

/**
 * The texts of a file, or of bytes such as those of standard input, in their order: rows of a table, or lines. No more than a few are
 * in memory at a time. What is to be predicted is not read.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming row, column and remedy
 */
export async function* streamTexts(
  source: string | AsyncIterable<Uint8Array>,
  options: Pick<TextDataOptions, 'columns'> = {},
): AsyncGenerator<StreamedRecord> {
  if (typeof source === 'string' && source.toLowerCase().endsWith(PARQUET)) {
    const { columns, rows: all, read, total } = await openParquet(source);
    for await (const record of recordsOf(source, columns, all, options)) yield { record, read: read(), total };
    return;
  }
  const { name, bytes, head, total, read } = await openBytes(source);
  const format = formatOf(name, head);
  const records = format === 'lines' ? lines(name, bytes) : rows(name, bytes, format, options);
  for await (const record of records) yield { record, read: read(), ...(total === undefined ? {} : { total }) };
}

async function* lines(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<SequenceRecord> {
  for await (const line of linesOf(name, bytes)) yield recordOfLine(name, line);
}

async function* rows(
  name: string,
  bytes: AsyncIterable<Uint8Array>,
  format: TableFormat,
  options: Pick<TextDataOptions, 'columns'>,
): AsyncGenerator<SequenceRecord> {
  const { columns, rows: all } = await openTable(name, bytes, format);
  yield* recordsOf(name, columns, all, options);
}

async function* recordsOf(
  name: string,
  columns: readonly string[],
  all: AsyncGenerator<Row, void, undefined>,
  { columns: names }: Pick<TextDataOptions, 'columns'>,
): AsyncGenerator<SequenceRecord> {
  try {
    const first: Row[] = [];
    while (first.length < LOOKED_AT) {
      const { value, done } = await all.next();
      if (done) break;
      first.push(value);
    }
    const found = findColumns({ file: name, columns, rows: first }, names);
    let number = 0;
    for (const row of first) yield recordOf(row, found, ++number, false);
    for await (const row of all) yield recordOf(row, found, ++number, false);
  } finally {
    await all.return();
  }
}
