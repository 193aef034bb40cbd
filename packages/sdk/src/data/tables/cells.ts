/** @file Rows of tables, what their cells mean, and how cells are written; whatever one should not be names its line and column. */

import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { type Split, splitNames } from '../splits/splits.ts';

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

/** How a table is read. */
export interface TableOptions {
  /** Whether quotes in a CSV or TSV file enclose cells; true by default. Otherwise they are a part of them like any other sign. */
  readonly hasQuotes?: boolean;
}

/** What a spreadsheet takes for the beginning of a formula, behind any quotes that we have put before it. */
const formula = /^'*[=+\-@\t\r]/;
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * A cell as RFC 4180 has it. Names and labels come from files of strangers, and a spreadsheet runs `=HYPERLINK(…)`: a text that
 * begins with `=`, `+`, `-`, `@`, a tab or a carriage return, and is no number, gets a `'` before it, by which spreadsheets know
 * texts. {@link textOfCell} takes it away.
 *
 * @param separator what stands between cells
 */
export function csvCell(text: string, separator: string): string {
  const safe = formula.test(text) && !number.test(text) ? `'${text}` : text;
  const mustQuote = safe.includes('"') || safe.includes(separator) || /[\r\n]/.test(safe);
  return mustQuote ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** What {@link csvCell} was given, from what stands in the file without its quotes. */
export function textOfCell(text: string): string {
  return text.startsWith("'") && formula.test(text) ? text.slice(1) : text;
}

/**
 * The text of a cell, or undefined where it is empty.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a list or an object
 */
export function cellText(row: Row, column: string): string | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null) return undefined;
  if (typeof cell === 'string') return cell.trim() === '' ? undefined : cell.trim();
  if (typeof cell === 'number' || typeof cell === 'boolean') return String(cell);
  throw cellRefused(row, column, cell, 'a text', 'Write it in quotes');
}

/**
 * The labels that a cell lists: separated by `|` or `;`, or a JSON list. An empty cell has none.
 *
 * @throws OnnxLoraError `DATA_INVALID` where one of them is neither text nor number
 */
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
    throw cellRefused(row, column, part, 'a label', 'Write labels in quotes');
  });
  return [...new Set(names)];
}

/**
 * The names of the columns that hold a 1.
 *
 * @throws OnnxLoraError `DATA_INVALID` where one of them holds anything but 0 and 1
 */
export function cellOneHot(row: Row, columns: readonly string[]): string[] {
  return columns.filter((column) => {
    const number = cellNumber(row, column);
    if (number === 0 || number === 1) return number === 1;
    throw cellRefused(row, column, row.cells.get(column), '0 or 1', 'Write 1 where the label applies, else 0');
  });
}

/**
 * A finite number.
 *
 * @throws OnnxLoraError `DATA_INVALID` where the cell is empty or no finite number
 */
export function cellNumber(row: Row, column: string): number {
  const cell = row.cells.get(column);
  if (typeof cell === 'boolean') return Number(cell);
  const number = typeof cell === 'string' && cell.trim() !== '' ? Number(cell) : cell;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  const comma = typeof cell === 'string' && /^-?\d+,\d+$/.test(cell.trim());
  throw cellRefused(row, column, cell, 'a number', comma ? 'Write it with a point, not a comma' : 'Correct it');
}

/**
 * Numbers of one cell: a JSON list, or a text.
 *
 * @param separators between the numbers of a text; no comma by default, which in some countries stands before decimals
 * @throws OnnxLoraError `DATA_INVALID` where there is none, or one that is not finite
 */
export function cellNumbers(row: Row, column: string, separators: RegExp = /[;|]/): number[] {
  const cell = cellList(row, column);
  if (typeof cell === 'string' && !separators.test(cell)) return [cellNumber(row, column)];
  const parts = typeof cell === 'string' ? cell.split(separators) : (cell ?? []);
  const numbers = parts.map((part) => (typeof part === 'string' && part.trim() !== '' ? Number(part) : part));
  if (numbers.length > 0 && numbers.every((each) => typeof each === 'number' && Number.isFinite(each)))
    return numbers as number[];
  throw cellRefused(row, column, row.cells.get(column), 'a list of numbers', 'Write [1, 2.5]');
}

/**
 * The split that a cell names.
 *
 * @throws OnnxLoraError `DATA_INVALID` for another word than train, validation, test and what is usual for these
 */
export function cellSplit(row: Row, column: string): Split | undefined {
  const text = cellText(row, column);
  const split = text === undefined ? undefined : splitNames.get(text.toLowerCase());
  if (text === undefined || split) return split;
  throw cellRefused(row, column, text, 'a split', 'Splits are train, validation and test');
}

/**
 * A cell that is a list, or one in JSON text; any other text as it is; undefined where it is empty.
 *
 * @throws OnnxLoraError `DATA_INVALID` for text that begins as a JSON list and is none
 */
export function cellList(row: Row, column: string): readonly unknown[] | string | undefined {
  const cell = row.cells.get(column);
  if (Array.isArray(cell)) return cell;
  const text = cellText(row, column);
  if (text === undefined || !text.startsWith('[')) return text;
  try {
    return parseForeignJson(text) as readonly unknown[];
  } catch (cause) {
    const wanted = cause instanceof SyntaxError ? 'a JSON list' : 'a list without so many lists in it';
    throw cellRefused(row, column, text, wanted, 'Correct it', cause);
  }
}

/** The error about a cell that is not what is `wanted`. */
export function cellRefused(
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
