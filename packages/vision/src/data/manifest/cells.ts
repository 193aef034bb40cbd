/** @file What the cells of a manifest mean; whatever they should not be names its line and column. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Box, Point, Split } from '../imageRecord.ts';
import type { Row } from './table.ts';

/** The text of a cell, or undefined where it is empty. */
export function textOf(row: Row, column: string): string | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null) return undefined;
  if (typeof cell === 'string') return cell.trim() === '' ? undefined : cell.trim();
  if (typeof cell === 'number' || typeof cell === 'boolean') return String(cell);
  throw refused(row, column, cell, 'a text', 'Write it in quotes');
}

/** The labels that a cell lists: separated by `|` or `;`, or a JSON list. An empty cell has none. */
export function labelsOf(row: Row, column: string): string[] {
  const cell = listOf(row, column);
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
    throw refused(row, column, part, 'a label', 'Write labels in quotes');
  });
  return [...new Set(names)];
}

/** The names of the columns that hold a 1. */
export function oneHotOf(row: Row, columns: readonly string[]): string[] {
  return columns.filter((column) => {
    const number = numberOf(row, column);
    if (number === 0 || number === 1) return number === 1;
    throw refused(row, column, row.cells.get(column), '0 or 1', 'Write 1 where the image has the label, else 0');
  });
}

/** A finite number. */
export function numberOf(row: Row, column: string): number {
  const cell = row.cells.get(column);
  if (typeof cell === 'boolean') return Number(cell);
  const number = typeof cell === 'string' && cell.trim() !== '' ? Number(cell) : cell;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  const comma = typeof cell === 'string' && /^-?\d+,\d+$/.test(cell.trim());
  throw refused(row, column, cell, 'a number', comma ? 'Write it with a point, not a comma' : 'Correct it');
}

/**
 * Numbers of one cell: a JSON list, or a text.
 *
 * @param separators between the numbers of a text; no comma by default, which in some countries stands before decimals
 */
export function numbersOf(row: Row, column: string, separators: RegExp = /[;|]/): number[] {
  const cell = listOf(row, column);
  if (typeof cell === 'string' && !separators.test(cell)) return [numberOf(row, column)];
  const parts = typeof cell === 'string' ? cell.split(separators) : (cell ?? []);
  const numbers = parts.map((part) => (typeof part === 'string' && part.trim() !== '' ? Number(part) : part));
  if (numbers.length > 0 && numbers.every((each) => typeof each === 'number' && Number.isFinite(each)))
    return numbers as number[];
  throw refused(row, column, row.cells.get(column), 'a list of numbers', 'Write [1, 2.5]');
}

/** Points of one cell: `[[10, 20], [30, 40]]`, or one point. An empty cell has none. */
export function pointsOf(row: Row, column: string): Point[] | undefined {
  const cell = listOf(row, column);
  if (cell === undefined) return undefined;
  const pairs = Array.isArray(cell) && cell.every((each) => typeof each === 'number') ? [cell] : cell;
  if (Array.isArray(pairs) && pairs.every(isPoint)) return pairs;
  throw refused(row, column, cell, 'a list of points', 'Write [[10, 20], [30, 40]]');
}

/** A box from one cell of four numbers, or from four cells. Empty cells give none. */
export function boxOf(row: Row, columns: readonly string[], isSize: boolean): Box | undefined {
  if (columns.every((column) => [undefined, null, ''].includes(row.cells.get(column) as string | null | undefined)))
    return undefined;
  const numbers =
    columns.length === 1 ? numbersOf(row, columns[0]!, /[\s,;|]+/) : columns.map((column) => numberOf(row, column));
  const box = boxFrom(numbers, isSize);
  if (box) return box;
  const wanted = isSize
    ? 'a box [x, y, width, height]'
    : 'a box [left, top, right, bottom] with right > left, bottom > top';
  throw refused(row, columns.join(', '), numbers, wanted, 'Correct it');
}

/** Objects as Hugging Face datasets write them. */
export function objectsOf(row: Row, column: string): { box: Box; category?: string }[] | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null || cell === '') return undefined;
  const wrong = (): OnnxLoraError =>
    refused(row, column, cell, 'objects', 'Write {"bbox": [[x, y, width, height]], "categories": ["cat"]}');
  const { bbox, categories, category = categories } = (typeof cell === 'object' ? cell : {}) as Record<string, unknown>;
  if (!Array.isArray(bbox) || !(category === undefined || Array.isArray(category))) throw wrong();
  if (category && category.length !== bbox.length) throw wrong();
  return bbox.map((each: unknown, i) => {
    const box = Array.isArray(each) ? boxFrom(each, true) : undefined;
    const name: unknown = category?.[i];
    if (!box || !['string', 'number', 'undefined'].includes(typeof name)) throw wrong();
    return { box, ...(name === undefined ? {} : { category: String(name as string | number) }) };
  });
}

/** The split that a cell names. */
export function splitOf(row: Row, column: string): Split | undefined {
  const text = textOf(row, column);
  const split = text === undefined ? undefined : splitNames.get(text.toLowerCase());
  if (text === undefined || split) return split;
  throw refused(row, column, text, 'a split', 'Splits are train, validation and test');
}

/** Splits by the names that people give them. */
export const splitNames: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['validation', 'validation'],
  ['val', 'validation'],
  ['valid', 'validation'],
  ['dev', 'validation'],
  ['test', 'test'],
  ['testing', 'test'],
]);

/** Four numbers as a box with an extent; undefined for anything else. */
export function boxFrom(numbers: readonly unknown[], isSize: boolean): Box | undefined {
  if (numbers.length !== 4 || !numbers.every((each) => typeof each === 'number' && Number.isFinite(each)))
    return undefined;
  const [x, y, third, fourth] = numbers as [number, number, number, number];
  const box: Box = isSize ? [x, y, x + third, y + fourth] : [x, y, third, fourth];
  return box[2] > box[0] && box[3] > box[1] ? box : undefined;
}

function isPoint(value: unknown): value is Point {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isFinite);
}

/** A cell that is a list, or one in JSON text; any other text as it is; undefined where it is empty. */
function listOf(row: Row, column: string): readonly unknown[] | string | undefined {
  const cell = row.cells.get(column);
  if (Array.isArray(cell)) return cell;
  const text = textOf(row, column);
  if (text === undefined || !text.startsWith('[')) return text;
  try {
    return JSON.parse(text) as readonly unknown[];
  } catch (cause) {
    throw refused(row, column, text, 'a JSON list', 'Correct it', cause);
  }
}

function refused(row: Row, column: string, cell: unknown, wanted: string, remedy: string, cause?: unknown) {
  const found = cell === undefined || cell === '' ? 'empty' : JSON.stringify(cell).slice(0, 80);
  return new OnnxLoraError(
    'DATA_INVALID',
    `${row.place}, column "${column}": ${wanted} is expected, but it is ${found}. ${remedy}.`,
    cause === undefined ? {} : { cause },
  );
}
