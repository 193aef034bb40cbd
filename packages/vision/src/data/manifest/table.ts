/** @file Rows of a manifest: CSV, TSV, JSONL or a JSON list, each row with the line it is on. */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { CsvError, parse } from 'csv-parse';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** One row. */
export interface Row {
  /** Where it is, for messages: `labels.csv, line 12`. */
  readonly place: string;
  /** Cells by column: text in a CSV file, any JSON value in a JSON one. */
  readonly cells: ReadonlyMap<string, unknown>;
}

/** A manifest as a table. */
export interface Table {
  readonly file: string;
  /** Columns in the order in which they first occur. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** Endings of the files that {@link readTable} reads. */
export const tableEndings: readonly string[] = ['.csv', '.tsv', '.jsonl', '.ndjson'];

/**
 * Reads a table. A CSV file may be separated by commas, semicolons or tabs, quoted, with either kind of line ends and a
 * byte order mark.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the line
 */
export async function readTable(file: string): Promise<Table> {
  try {
    const ending = extname(file).toLowerCase();
    const table = ending === '.csv' || ending === '.tsv' ? await readCsv(file, ending) : await readJsonLines(file);
    if (table.rows.length === 0) {
      throw new OnnxLoraError('DATA_INVALID', `"${file}" has no rows. Give every image a row of its own.`);
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
        `${place}: not an object. Write one per image: {"image": "1.png", "label": "cat"}.`,
      );
    }
    const cells = new Map<string, unknown>(Object.entries(value));
    for (const column of cells.keys()) columns.add(column);
    return { place, cells };
  });
  return { file, columns: [...columns], rows };
}

async function readCsv(file: string, ending: string): Promise<Table> {
  const delimiter = ending === '.tsv' ? '\t' : await delimiterOf(file);
  // What is not as many cells as the header is told here, with a message of our own.
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    max_record_size: 1 << 24,
  });
  const source = createReadStream(file);
  source.once('error', (error) => parser.destroy(error));
  let columns: string[] | undefined;
  const rows: Row[] = [];
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      const place = `${file}, line ${info.lines}`;
      if (columns === undefined) {
        columns = record;
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
      rows.push({ place, cells: new Map(names.map((name, i) => [name, record[i]])) });
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
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(new Uint8Array(1 << 16), 0, 1 << 16, 0);
  // UTF-16, as Excel writes it, has zeros in between.
  const start = Buffer.from(buffer.buffer, 0, bytesRead).toString('latin1').replaceAll('\0', '').split(/\r?\n/, 1)[0]!;
  const counts = [',', ';', '\t'].map((delimiter) => ({ delimiter, count: start.split(delimiter).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).delimiter;
}

async function readJsonLines(file: string): Promise<Table> {
  const values: unknown[] = [];
  const numbers: number[] = [];
  let number = 0;
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity });
  for await (const line of lines) {
    number++;
    const text = line.replace(/^\uFEFF/, '').trim();
    if (text === '') continue;
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
      `${place}: not JSON (${(cause as Error).message}). Write one object per line: {"image": "1.png", "label": "cat"}.`,
      { cause },
    );
  }
}
