/** @file Rows of a manifest: CSV, TSV, JSONL or a JSON list, each row with the line it is on. */

import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { CsvError, parse } from 'csv-parse';
import { OnnxLoraError } from '../../errors.ts';
import { listed } from '../tasks/listed.ts';
import { linesOf } from './linesOf.ts';

/** One row. */
export interface Row {
  /** Where it is, for messages: `labels.csv, line 12`. */
  readonly place: string;
  /** Cells by column: text in a CSV file, any JSON value in a JSON one. */
  readonly cells: Cells;
}

/** Cells by the name of their column. */
export interface Cells {
  /** Undefined where there is none. */
  get(column: string): unknown;
}

/** A manifest as a table. */
export interface Table {
  readonly file: string;
  /** Columns in the order in which they first occur. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** JSON text that is parsed at once takes several times its size. */
const MAX_JSON_BYTES = 1 << 28;
/** The header of a table is within its first so many bytes. */
const HEAD_BYTES = 1 << 16;
/** Longest line, in bytes or characters. */
const MAX_LINE = 1 << 24;

/** Endings of the files that {@link readTable} reads. */
export const tableEndings: readonly string[] = ['.csv', '.tsv', '.jsonl', '.ndjson'];

/** How a table is read. */
export interface TableOptions {
  /** Whether quotes in a CSV or TSV file enclose cells; true by default. Otherwise they are a part of them like any other sign. */
  readonly hasQuotes?: boolean;
}

/**
 * Reads a table. A CSV file may be separated by commas, semicolons or tabs, quoted, with either kind of line ends and a
 * byte order mark. A `.json` file is a list of objects, or has one per line.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the line
 */
export async function readTable(file: string, { hasQuotes = true }: TableOptions = {}): Promise<Table> {
  try {
    const ending = extname(file).toLowerCase();
    const table = await (ending === '.csv' || ending === '.tsv'
      ? readCsv(file, ending, hasQuotes)
      : ending === '.json'
        ? readJson(file)
        : readJsonLines(file));
    if (table.rows.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `"${file}" has no rows${table.columns.length > 0 ? ` but its first line, which names the columns: ${listed(table.columns)}` : ''}. Give every example a row of its own.`,
      );
    }
    return table;
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${file}". Check the path of the data.`, { cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('DATA_INVALID', `Cannot read "${file}": ${reason}. Check the file.`, { cause });
  }
}

/** A table from values of a JSON list. */
export function tableOf(file: string, values: readonly unknown[], nameOf: (index: number) => string): Table {
  const columns = new Set<string>();
  const rows = values.map((value, i): Row => {
    const place = `${file}, ${nameOf(i)}`;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${place}: not an object. Write one per example: {"path": "…", "label": "cat"}.`,
      );
    }
    const cells = new Map<string, unknown>(Object.entries(value));
    for (const column of cells.keys()) columns.add(column);
    return { place, cells };
  });
  return { file, columns: [...columns], rows };
}

/** A row of a CSV file. Tables may have millions, so that it holds its cells and nothing else. */
class CsvRow implements Row, Cells {
  readonly #file: string;
  readonly #line: number;
  readonly #positions: ReadonlyMap<string, number>;
  readonly #record: readonly string[];

  constructor(file: string, line: number, positions: ReadonlyMap<string, number>, record: readonly string[]) {
    this.#file = file;
    this.#line = line;
    this.#positions = positions;
    this.#record = record;
  }

  get place(): string {
    return `${this.#file}, line ${this.#line}`;
  }

  get cells(): Cells {
    return this;
  }

  get(column: string): unknown {
    const position = this.#positions.get(column);
    return position === undefined ? undefined : this.#record[position];
  }
}

async function readCsv(file: string, ending: string, hasQuotes: boolean): Promise<Table> {
  const delimiter = ending === '.tsv' ? '\t' : await delimiterOf(file);
  // What is not as many cells as the header is told here, with a message of our own.
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    ...(hasQuotes ? {} : { quote: false }),
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    max_record_size: MAX_LINE,
  });
  const source = createReadStream(file);
  source.once('error', (error) => parser.destroy(error));
  let columns: string[] | undefined;
  const positions = new Map<string, number>();
  const rows: Row[] = [];
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      const place = `${file}, line ${info.lines}`;
      if (columns === undefined) {
        columns = record;
        record.forEach((name, i) => positions.set(name, i));
        const twice = record.find((name, i) => record.indexOf(name) !== i);
        if (twice !== undefined)
          throw new OnnxLoraError('DATA_INVALID', `${place}: two columns are named "${twice}". Rename one of them.`);
        continue;
      }
      const names: string[] = columns;
      if (record.length !== names.length) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `${place}: the line has ${record.length} cells, but the header has ${names.length} (${names.join(', ')}). Put quotes around a cell that holds the separator.`,
        );
      }
      rows.push(new CsvRow(file, info.lines, positions, record));
    }
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = typeof cause['lines'] === 'number' ? `, line ${cause['lines']}` : '';
    throw new OnnxLoraError('DATA_INVALID', `${file}${line}: ${cause.message}. Correct the line.`, { cause });
  } finally {
    source.destroy();
  }
  return { file, columns: columns ?? [], rows };
}

/** What separates the header's names: the one of comma, semicolon and tab that comes most often. */
async function delimiterOf(file: string): Promise<string> {
  // UTF-16, as Excel writes it, has zeros in between.
  const start = (await beginningOf(file)).toString('latin1').replaceAll('\0', '').split(/\r?\n/, 1)[0]!;
  const counts = [',', ';', '\t'].map((delimiter) => ({ delimiter, count: start.split(delimiter).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).delimiter;
}

async function beginningOf(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function readJson(file: string): Promise<Table> {
  const start = (await beginningOf(file))
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (!start.startsWith('[')) return readJsonLines(file);
  const { size } = await stat(file);
  if (size > MAX_JSON_BYTES) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" is a JSON list of ${size} bytes, more than can be read at once (${MAX_JSON_BYTES}). Write one object per line, in a file that ends in .jsonl.`,
    );
  }
  const values = parsed((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''), file);
  if (!Array.isArray(values)) throw new OnnxLoraError('DATA_INVALID', `${file}: it is no list of objects. Correct it.`);
  return tableOf(file, values, (i) => `entry ${i + 1}`);
}

async function readJsonLines(file: string): Promise<Table> {
  const values: unknown[] = [];
  const numbers: number[] = [];
  for await (const { text, number } of linesOf(file, MAX_LINE)) {
    values.push(parsed(text, `${file}, line ${number}`));
    numbers.push(number);
  }
  return tableOf(file, values, (i) => `line ${numbers[i]}`);
}

function parsed(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: not JSON (${(cause as Error).message}). Write one object per line: {"path": "…", "label": "cat"}.`,
      { cause },
    );
  }
}
