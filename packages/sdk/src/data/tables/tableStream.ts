/** @file Rows of a CSV, TSV or JSONL file as its bytes come, each with the line it is on. */

import { Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { textOfHead } from '../../files/decodeText.ts';
import { listed } from '../listed.ts';
import { isObject } from '../modelFiles/configFields.ts';
import { type Cells, type Row, type TableOptions, textOfCell } from './cells.ts';
import { linesOf, MAX_LINE, textOf } from './textLines.ts';

/** A table that is being read. */
export interface TableStream {
  /** Columns in the order in which they first occur; in a JSON file those of the rows so far, which are one at least. */
  readonly columns: readonly string[];
  /** To be read once, or returned from. */
  readonly rows: AsyncGenerator<Row, void, undefined>;
}

/** Kinds of tables that can be read row by row. */
export type TableFormat = 'csv' | 'tsv' | 'jsonl';

/** The header of a table is within its first so many bytes. */
const HEAD_BYTES = 1 << 16;

/**
 * Reads the columns of a table, and then row by row. What `csv` is separated by (commas, semicolons or tabs) shows in its header.
 *
 * @param file what the table is called in messages
 * @throws OnnxLoraError `DATA_INVALID`, naming the line; what `bytes` throws
 */
export async function openTable(
  file: string,
  bytes: AsyncIterable<Uint8Array>,
  format: TableFormat,
  { hasQuotes = true }: TableOptions = {},
): Promise<TableStream> {
  const columns: string[] = [];
  const rows = format === 'jsonl' ? jsonRows(file, bytes, columns) : csvRows(file, bytes, format, hasQuotes, columns);
  // What comes first says that the columns are known.
  await rows.next();
  return { columns, rows: rows as AsyncGenerator<Row, void, undefined> };
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

/** A line's cells, and which line of the file it ends on. */
interface ParsedRow {
  readonly record: string[];
  readonly line: number;
}

async function* csvRows(
  file: string,
  source: AsyncIterable<Uint8Array>,
  format: TableFormat,
  hasQuotes: boolean,
  columns: string[],
): AsyncGenerator<Row | undefined, void, undefined> {
  const { head, bytes } = await peeked(source, HEAD_BYTES);
  // The parser counts a line that ends with \r\n within quotes as two. Counted as it goes, for it is ahead of whoever reads.
  let countedTwice = 0;
  const withLine = ({ record, info }: { record: string[]; info: { lines: number } }): ParsedRow => {
    for (const cell of record) countedTwice += cell.split('\r\n').length - 1;
    return { record, line: info.lines - countedTwice };
  };
  // What is not as many cells as the header is told here, with a message of our own.
  const parser = parse({
    delimiter: format === 'tsv' ? '\t' : delimiterOf(head),
    info: true,
    on_record: withLine as never,
    ...(hasQuotes ? {} : { quote: false }),
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    // Any of them, line by line: the parser by itself takes what ends the first line for all.
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: MAX_LINE,
  });
  const input = Readable.from(textOf(file, bytes), { objectMode: false });
  input.once('error', (error) => parser.destroy(error));
  const positions = new Map<string, number>();
  try {
    for await (const { record, line } of input.pipe(parser) as AsyncIterable<ParsedRow>) {
      const place = `${file}, line ${line}`;
      if (columns.length === 0) {
        const seen = new Set<string>();
        const header = hasQuotes ? record.map(textOfCell) : record;
        const twice = header.find((name) => seen.size === seen.add(name).size);
        if (twice !== undefined)
          throw new OnnxLoraError('DATA_INVALID', `${place}: two columns are named "${twice}". Rename one of them.`);
        header.forEach((name, i) => positions.set(name, i));
        for (const name of header) columns.push(name);
        yield undefined;
        continue;
      }
      if (record.length !== columns.length) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `${place}: the line has ${record.length} cells, but the header has ${columns.length} (${listed(columns, 12)}). Put quotes around a cell that holds the separator.`,
        );
      }
      yield new CsvRow(file, line, positions, hasQuotes ? record.map(textOfCell) : record);
    }
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = typeof cause['lines'] === 'number' ? `, line ${cause['lines'] - countedTwice}` : '';
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${file}${line}: ${cause.message.replace(/ at line \d+/, '')}. Correct the line.`,
      { cause },
    );
  } finally {
    input.destroy();
  }
}

/** What separates the header's names: the one of comma, semicolon and tab that comes most often. */
function delimiterOf(head: Uint8Array): string {
  const start = textOfHead(head.subarray(0, HEAD_BYTES)).split(/\r\n|\n|\r/, 1)[0]!;
  const counts = [',', ';', '\t'].map((delimiter) => ({ delimiter, count: start.split(delimiter).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).delimiter;
}

async function* jsonRows(
  file: string,
  bytes: AsyncIterable<Uint8Array>,
  columns: string[],
): AsyncGenerator<Row | undefined, void, undefined> {
  const known = new Set<string>();
  let isFirst = true;
  for await (const { text, number } of linesOf(file, bytes)) {
    const place = `${file}, line ${number}`;
    const cells = cellsOf(parsedJson(text, place), place);
    for (const column of cells.keys()) {
      if (known.has(column)) continue;
      known.add(column);
      columns.push(column);
    }
    if (isFirst) yield undefined;
    isFirst = false;
    yield { place, cells };
  }
}

/**
 * The cells of an object of a JSON file.
 *
 * @throws OnnxLoraError `DATA_INVALID` for any other value
 */
export function cellsOf(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (isObject(value)) return new Map(Object.entries(value));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: not an object. Write one per example: {"path": "…", "label": "cat"}.`,
  );
}

/**
 * The value of JSON text.
 *
 * @throws OnnxLoraError `DATA_INVALID` for text that is none
 */
export function parsedJson(text: string, place: string): unknown {
  try {
    return parseForeignJson(text);
  } catch (cause) {
    const problem =
      cause instanceof SyntaxError
        ? `not JSON (${cause.message}). Write one object per line: {"path": "…", "label": "cat"}.`
        : 'lists or objects lie too deeply in one another. Correct it.';
    throw new OnnxLoraError('DATA_INVALID', `${place}: ${problem}`, { cause });
  }
}

/** The beginning of bytes, and all of them. */
export interface Peeked {
  /** The bytes that were read so far: at least as many as were asked for, or all. */
  readonly head: Uint8Array;
  /** All bytes, the beginning included. To be read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** The first bytes of a source, `least` of them where there are so many. What is given must be read, or returned from. */
export async function peeked(source: AsyncIterable<Uint8Array>, least: number): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let size = 0;
  while (size < least) {
    const { value, done } = await iterator.next();
    if (done) break;
    held.push(value);
    size += value.length;
  }
  const head = held.length === 1 ? held[0]! : Buffer.concat(held);
  // No generator, because one that was never begun does not close its source.
  const bytes: AsyncIterator<Uint8Array> = {
    next: async () => {
      const first = held.shift();
      return first ? { value: first, done: false } : iterator.next();
    },
    return: async () => {
      held.length = 0;
      await iterator.return?.();
      return { value: undefined, done: true };
    },
  };
  return { head, bytes: { [Symbol.asyncIterator]: () => bytes } };
}
