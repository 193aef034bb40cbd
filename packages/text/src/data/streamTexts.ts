/** @file Streams texts. */

import { extname } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  isUtf16,
  type Line,
  linesOf,
  openTable,
  type Row,
  type Table,
  type TableFormat,
  decodePreview,
} from '@onnx-lora/sdk/data';
import { openBytes, openParquet, PARQUET, type SequenceRecord, type StreamedRecord } from '@onnx-lora/sequences';
import { findColumns, recordOf, type TextDataOptions } from './textColumns.ts';

const endingsOf: Readonly<Record<TableFormat | 'lines', readonly string[]>> = {
  csv: ['.csv'],
  tsv: ['.tsv'],
  jsonl: ['.jsonl', '.ndjson'],
  lines: ['.txt'],
};

/** File endings of texts, each also followed by `.gz`. */
export const textEndings: readonly string[] = Object.values(endingsOf)
  .flat()
  .flatMap((each) => [each, `${each}.gz`])
  .concat(PARQUET);

/**
 * The format of a file, by its name or its first bytes.
 * @throws OnnxLoraError `DATA_INVALID` for a file that is not text
 */
export function formatOf(name: string, head: Uint8Array): TableFormat | 'lines' {
  if (head.includes(0) && !isUtf16(head)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is no text file. Save a spreadsheet as CSV; texts are read from ${textEndings.filter((each) => !each.endsWith('.gz')).join(', ')}.`,
    );
  }
  const ending = extname(name.toLowerCase().replace(/\.gz$/, ''));
  const named = (Object.keys(endingsOf) as (keyof typeof endingsOf)[]).find((each) => endingsOf[each].includes(ending));
  if (named) return named;
  const [line = ''] = decodePreview(head)
    .trimStart()
    .split(/\r\n|\n|\r/, 1);
  if (line.startsWith('{')) return 'jsonl';
  // A header is words; a sentence may have commas as well.
  if (line.includes('\t')) return 'tsv';
  return /^"?\w+"?([,;]"?\w+"?)+$/.test(line) ? 'csv' : 'lines';
}

/** The record of a line. */
export function recordOfLine(name: string, { text, number }: Line): SequenceRecord {
  return { id: String(number), sequence: text, where: `${name}, line ${number}` };
}

/** Number of rows that decide the columns' roles. */
const LOOKED_AT = 200;

/** A table with its first rows read. */
export interface OpenedTable extends Table {
  readonly rest: AsyncGenerator<Row, void, undefined>;
}

interface OpenTexts {
  readonly name: string;
  /** The lines, unless it is a table; read once. */
  readonly lines?: AsyncGenerator<Line>;
  /** The first rows, and the rest, which is read once and then returned. */
  readonly table?: OpenedTable;
  /** Bytes read so far. */
  readonly read: () => number;
  readonly total?: number | undefined;
}

/**
 * Opens a file, or bytes such as standard input: a table (also Parquet) or lines. At most a few hundred rows, or a row
 * group, are in memory.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`
 */
export async function openTexts(source: string | AsyncIterable<Uint8Array>): Promise<OpenTexts> {
  if (typeof source === 'string' && source.toLowerCase().endsWith(PARQUET)) {
    const { columns, rows, read, total } = await openParquet(source);
    return { name: source, table: await begun(source, columns, rows), read, total };
  }
  const { name, bytes, head, total, read } = await openBytes(source);
  const format = formatOf(name, head);
  if (format === 'lines') return { name, lines: linesOf(name, bytes), read, total };
  const { columns, rows } = await openTable(name, bytes, format);
  return { name, table: await begun(name, columns, rows), read, total };
}

async function begun(file: string, columns: readonly string[], rest: OpenedTable['rest']): Promise<OpenedTable> {
  const rows: Row[] = [];
  while (rows.length < LOOKED_AT) {
    const { value, done } = await rest.next();
    if (done) break;
    rows.push(value);
  }
  return { file, columns, rows, rest };
}

/** Maps the rows, numbered from 1. */
export async function* eachRow<Item>(
  { rows, rest }: OpenedTable,
  read: (row: Row, number: number) => Item,
): AsyncGenerator<Item> {
  let number = 0;
  for (const row of rows) yield read(row, ++number);
  for await (const row of rest) yield read(row, ++number);
}

/**
 * Streams the texts of a file, or of bytes such as standard input: rows of a table, without targets, or lines.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with row, column and remedy
 */
export async function* streamTexts(
  source: string | AsyncIterable<Uint8Array>,
  { columns }: Pick<TextDataOptions, 'columns'> = {},
): AsyncGenerator<StreamedRecord> {
  const { name, lines, table, read, total } = await openTexts(source);
  const records = table ? recordsOf(table, columns) : recordsOfLines(name, lines!);
  for await (const record of records) yield { record, read: read(), ...(total === undefined ? {} : { total }) };
}

async function* recordsOfLines(name: string, lines: AsyncIterable<Line>): AsyncGenerator<SequenceRecord> {
  for await (const line of lines) yield recordOfLine(name, line);
}

async function* recordsOf(table: OpenedTable, names: TextDataOptions['columns']): AsyncGenerator<SequenceRecord> {
  try {
    const found = findColumns(table, names);
    yield* eachRow(table, (row, number) => recordOf(row, found, number, false));
  } finally {
    await table.rest.return();
  }
}
