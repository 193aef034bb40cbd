/** @file Tables: CSV, TSV, JSONL or a JSON list, with the line of each row. */

import { createReadStream, open } from '../../platform/files.ts';
import { extname } from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodePreview } from '../../files/decodeText.ts';
import { quotedNames } from '../listed.ts';
import type { Row, TableOptions } from './cells.ts';
import { cellsOf, openTable, parsedJson, type TableStream } from './tableStream.ts';
import { readText, unreadable } from './textLines.ts';

/** A table in memory. */
export interface Table {
  /** Path of the file, for messages. */
  readonly file: string;
  /** Columns in order of first occurrence. */
  readonly columns: readonly string[];
  /** Rows in the file's order. */
  readonly rows: readonly Row[];
}

const inLines = 'Write one object per line, in a file that ends in .jsonl.';
/** A JSON list is recognised within this many bytes. */
const HEAD_BYTES = 1 << 12;

/** Endings of the files that {@link readTable} reads. */
export const tableEndings: readonly string[] = ['.csv', '.tsv', '.jsonl', '.ndjson'];

/**
 * Reads a table. CSV may be separated by commas, semicolons or tabs, with quotes and any line ends, in UTF-8 or in
 * UTF-16 with a byte order mark. A `.json` file is a list of objects, or has one per line.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the line
 */
export async function readTable(file: string, options: TableOptions = {}): Promise<Table> {
  try {
    const ending = extname(file).toLowerCase();
    const list = ending === '.json' ? await readJsonList(file) : undefined;
    const format = ending === '.csv' ? 'csv' : ending === '.tsv' ? 'tsv' : 'jsonl';
    return list ?? (await wholeTable(file, await openTable(file, createReadStream(file), format, options)));
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** Reads all rows of a stream. @throws OnnxLoraError `DATA_INVALID` for a table without rows, and as `openTable` */
export async function wholeTable(file: string, stream: TableStream): Promise<Table> {
  const rows: Row[] = [];
  for await (const row of stream.rows) rows.push(row);
  return withRows({ file, columns: stream.columns, rows });
}

/** Makes a table of a JSON list's values. @throws OnnxLoraError `DATA_INVALID` for a value that is not an object */
export function tableOf(file: string, values: readonly unknown[], nameOf: (index: number) => string): Table {
  const columns = new Set<string>();
  const rows = values.map((value, i): Row => {
    const place = `${file}, ${nameOf(i)}`;
    const cells = cellsOf(value, place);
    for (const column of cells.keys()) columns.add(column);
    return { place, cells };
  });
  return { file, columns: [...columns], rows };
}

function withRows(table: Table): Table {
  if (table.rows.length > 0) return table;
  const { file, columns } = table;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has no rows${columns.length > 0 ? ` but its first line, which names the columns: ${quotedNames(columns)}` : ''}. Give each example its own row.`,
  );
}

async function beginningOf(file: string): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Reads a JSON list; undefined for other files. */
async function readJsonList(file: string): Promise<Table | undefined> {
  const start = decodePreview(await beginningOf(file)).trimStart();
  if (!start.startsWith('[')) return undefined;
  const values = parsedJson(await readText(file, undefined, inLines), file);
  if (!Array.isArray(values)) throw new OnnxLoraError('DATA_INVALID', `${file}: it is no list of objects. Correct it.`);
  return withRows(tableOf(file, values, (i) => `entry ${i + 1}`));
}
