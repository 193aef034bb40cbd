/** @file Cells of tables: reading, checking and writing them. Errors name the line and the column. */

import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { type Split, splitNames } from '../splits/splits.ts';

/** One row. */
export interface Row {
  /** Its location, for messages: `labels.csv, line 12`. */
  readonly place: string;
  /** Cells by column: text in CSV, any JSON value in JSON. */
  readonly cells: Cells;
}

/** Cells by the name of their column. */
export interface Cells {
  /** The cell; undefined for an unknown column. */
  get(column: string): unknown;
}

/** Options for reading a table. */
export interface TableOptions {
  /** Whether quotes enclose cells of a CSV or TSV file; true by default. Otherwise they are ordinary characters. */
  readonly hasQuotes?: boolean;
}

/** A text that spreadsheets take for a formula, after any quotes added by us. */
const formula = /^'*[=+\-@\t\r]/;
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * Writes a cell as in RFC 4180. Names and labels are untrusted, and spreadsheets run `=HYPERLINK(…)`: a text that
 * starts with `=`, `+`, `-`, `@`, tab or carriage return, and is no number, gets a leading `'`, which marks text in
 * spreadsheets and which {@link textOfCell} removes.
 */
export function csvCell(text: string, separator: string): string {
  const safe = formula.test(text) && !number.test(text) ? `'${text}` : text;
  const mustQuote = safe.includes('"') || safe.includes(separator) || /[\r\n]/.test(safe);
  return mustQuote ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The text that {@link csvCell} wrote, from the unquoted cell. */
export function textOfCell(text: string): string {
  return text.startsWith("'") && formula.test(text) ? text.slice(1) : text;
}

/** Text of a cell; undefined if empty. @throws OnnxLoraError `DATA_INVALID` for a list or an object */
export function cellText(row: Row, column: string): string | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null) return undefined;
  if (typeof cell === 'string') return cell.trim() === '' ? undefined : cell.trim();
  if (typeof cell === 'number' || typeof cell === 'boolean') return String(cell);
  throw cellError(row, column, cell, 'a text', 'Write it in quotes');
}

/** Labels of a cell, separated by `|` or `;`, or a JSON list. @throws OnnxLoraError `DATA_INVALID` for other values */
export function cellLabels(row: Row, column: string): string[] {
  const cell = cellList(row, column);
  if (cell === undefined) return [];
  const parts =
    typeof cell === 'string'
      ? cell
          .split(/[|;]/)
          .map((part) => part.trim())
          .filter((part) => part !== '')
      : cell;
  const names = parts.map((part) => {
    if (typeof part === 'string') return part;
    if (typeof part === 'number') return String(part);
    throw cellError(row, column, part, 'a label', 'Write labels in quotes');
  });
  return [...new Set(names)];
}

/** Names of the columns that hold 1. @throws OnnxLoraError `DATA_INVALID` for anything but 0 and 1 */
export function cellOneHot(row: Row, columns: readonly string[]): string[] {
  return columns.filter((column) => {
    const number = cellNumber(row, column);
    if (number === 0 || number === 1) return number === 1;
    throw cellError(row, column, row.cells.get(column), '0 or 1', 'Write 1 where the label applies, else 0');
  });
}

/** A finite number. @throws OnnxLoraError `DATA_INVALID` for an empty cell and other values */
export function cellNumber(row: Row, column: string): number {
  const cell = row.cells.get(column);
  if (typeof cell === 'boolean') return Number(cell);
  const number = typeof cell === 'string' && cell.trim() !== '' ? Number(cell) : cell;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  const comma = typeof cell === 'string' && /^-?\d+,\d+$/.test(cell.trim());
  throw cellError(row, column, cell, 'a number', comma ? 'Write it with a point, not a comma' : 'Correct it');
}

/** Numbers of a cell: a JSON list or text. The comma is no separator, but decimal in some countries. @throws OnnxLoraError `DATA_INVALID` */
export function cellNumbers(row: Row, column: string, separators: RegExp = /[;|]/): number[] {
  const cell = cellList(row, column);
  if (typeof cell === 'string' && !separators.test(cell)) return [cellNumber(row, column)];
  const parts = typeof cell === 'string' ? cell.split(separators) : (cell ?? []);
  const numbers = parts.map((part) => (typeof part === 'string' && part.trim() !== '' ? Number(part) : part));
  if (numbers.length > 0 && numbers.every((each) => typeof each === 'number' && Number.isFinite(each)))
    return numbers as number[];
  throw cellError(row, column, row.cells.get(column), 'a list of numbers', 'Write [1, 2.5]');
}

/** The split of a cell, by any of its usual names. @throws OnnxLoraError `DATA_INVALID` for another word */
export function cellSplit(row: Row, column: string): Split | undefined {
  const text = cellText(row, column);
  const split = text === undefined ? undefined : splitNames.get(text.toLowerCase());
  if (text === undefined || split) return split;
  throw cellError(row, column, text, 'a split', 'Splits are train, validation and test');
}

/** A list, or a JSON list in text; other text as it is; undefined if empty. @throws OnnxLoraError `DATA_INVALID` */
export function cellList(row: Row, column: string): readonly unknown[] | string | undefined {
  const cell = row.cells.get(column);
  if (Array.isArray(cell)) return cell;
  const text = cellText(row, column);
  if (text === undefined || !text.startsWith('[')) return text;
  try {
    return parseForeignJson(text) as readonly unknown[];
  } catch (cause) {
    const wanted = cause instanceof SyntaxError ? 'a JSON list' : 'a list without so many lists in it';
    throw cellError(row, column, text, wanted, 'Correct it', cause);
  }
}

/** The error about a cell of another kind than `wanted`. */
export function cellError(
  row: Row,
  column: string,
  cell: unknown,
  wanted: string,
  remedy: string,
  cause?: unknown,
): OnnxLoraError {
  const found = cell === undefined || cell === '' ? 'empty' : JSON.stringify(cell).slice(0, 80);
  return new OnnxLoraError(
    'DATA_INVALID',
    `${row.place}, column "${column}": ${wanted} is expected, but it is ${found}. ${remedy}.`,
    cause === undefined ? {} : { cause },
  );
}
