/** @file Streams the rows of a CSV, TSV or JSONL file, with the line of each. */

import { concatBytes } from '../../platform/bytes.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodePreview } from '../../files/decodeText.ts';
import { quotedNames } from '../listed.ts';
import { isObject } from '../modelFiles/configFields.ts';
import { type Cells, type Row, type TableOptions, textOfCell } from './cells.ts';
import { csvProblem, csvRecords } from './csvRecords.ts';
import { linesOf, MAX_LINE, textOf } from './textLines.ts';

/** A table being read. */
export interface TableStream {
  /** Columns in order of first occurrence; for JSON, those of the rows so far, at least one. */
  readonly columns: readonly string[];
  /** The rows. Read them once, or call `return`. */
  readonly rows: AsyncGenerator<Row, void, undefined>;
}

/** Formats that can be streamed. */
export type TableFormat = 'csv' | 'tsv' | 'jsonl';

/** The header lies within this many bytes. */
const HEAD_BYTES = 1 << 16;

/**
 * Reads the columns of a table, then streams its rows. The separator of `csv` (comma, semicolon or tab) is detected in
 * the header.
 * @param file name of the table in messages
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
  // The first, empty item marks that the columns are known.
  await rows.next();
  return { columns, rows: rows as AsyncGenerator<Row, void, undefined> };
}

/** A row of a CSV file. It holds only its cells, since tables may have millions of rows. */
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
  // The parser counts a CR LF within quotes as two lines. Counted per record, since the parser reads ahead.
  let countedTwice = 0;
  const withLine = ({ record, info }: { record: string[]; info: { lines: number } }): ParsedRow => {
    for (const cell of record) countedTwice += cell.split('\r\n').length - 1;
    return { record, line: info.lines - countedTwice };
  };
  // Rows with a wrong number of cells are reported below, with our message.
  const records = csvRecords<ParsedRow>(textOf(file, bytes), {
    delimiter: format === 'tsv' ? '\t' : delimiterOf(head),
    info: true,
    on_record: withLine as never,
    ...(hasQuotes ? {} : { quote: false }),
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    // All line ends: by default, the parser uses the first one for the whole file.
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: MAX_LINE,
  });
  const positions = new Map<string, number>();
  try {
    for await (const { record, line } of records) {
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
          `${place}: the line has ${record.length} cells, but the header has ${columns.length} (${quotedNames(columns, 12)}). Put quotes around a cell that holds the separator.`,
        );
      }
      yield new CsvRow(file, line, positions, hasQuotes ? record.map(textOfCell) : record);
    }
  } catch (cause) {
    const problem = csvProblem(cause);
    if (!problem) throw cause;
    const line = problem.lines === undefined ? '' : `, line ${problem.lines - countedTwice}`;
    throw new OnnxLoraError('DATA_INVALID', `${file}${line}: ${problem.message}. Correct the line.`, { cause });
  }
}

/** The most frequent of comma, semicolon and tab in the header. */
function delimiterOf(head: Uint8Array): string {
  const start = decodePreview(head.subarray(0, HEAD_BYTES)).split(/\r\n|\n|\r/, 1)[0]!;
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

/** Cells of a JSON object. @throws OnnxLoraError `DATA_INVALID` for any other value */
export function cellsOf(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (isObject(value)) return new Map(Object.entries(value));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: not an object. Write one per example: {"path": "…", "label": "cat"}.`,
  );
}

/** Parses JSON. @throws OnnxLoraError `DATA_INVALID` for other text */
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

/** A source with its first bytes. */
export interface Peeked {
  /** The bytes read so far: at least as many as were asked for, or all. */
  readonly head: Uint8Array;
  /** All bytes, including the head. Read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Reads at least the first `least` bytes of a source. The result must be read, or returned from. */
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
  const head = held.length === 1 ? held[0]! : concatBytes(held);
  // Not a generator, because one that never starts does not close its source.
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
