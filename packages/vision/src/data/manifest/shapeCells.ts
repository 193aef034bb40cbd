/** @file Cells of a manifest that say where something is in an image. */

import type { OnnxLoraError } from '@onnx-lora/sdk';
import { cellList, cellNumber, cellNumbers, cellRefused, type Row } from '@onnx-lora/sdk/data';
import type { Box, Point } from '../imageRecord.ts';

/** Points of one cell: `[[10, 20], [30, 40]]`, or one point. An empty cell has none. */
export function pointsOf(row: Row, column: string): Point[] | undefined {
  const cell = cellList(row, column);
  if (cell === undefined) return undefined;
  const pairs = Array.isArray(cell) && cell.every((each) => typeof each === 'number') ? [cell] : cell;
  if (Array.isArray(pairs) && pairs.every(isPoint)) return pairs;
  throw cellRefused(row, column, cell, 'a list of points', 'Write [[10, 20], [30, 40]]');
}

/** A box from one cell of four numbers, or from four cells. Empty cells give none. */
export function boxOf(row: Row, columns: readonly string[], isSize: boolean): Box | undefined {
  if (columns.every((column) => [undefined, null, ''].includes(row.cells.get(column) as string | null | undefined)))
    return undefined;
  const numbers =
    columns.length === 1 ? cellNumbers(row, columns[0]!, /[\s,;|]+/) : columns.map((column) => cellNumber(row, column));
  const box = boxFrom(numbers, isSize);
  if (box) return box;
  const wanted = isSize
    ? 'a box [x, y, width, height]'
    : 'a box [left, top, right, bottom] with right > left, bottom > top';
  throw cellRefused(row, columns.join(', '), numbers, wanted, 'Correct it');
}

/** Objects as Hugging Face datasets write them. */
export function objectsOf(row: Row, column: string): { box: Box; category?: string }[] | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null || cell === '') return undefined;
  const wrong = (): OnnxLoraError =>
    cellRefused(row, column, cell, 'objects', 'Write {"bbox": [[x, y, width, height]], "categories": ["cat"]}');
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
