/** @file Records from a manifest: a table that names an image per row, and may say where something is in it. */

import { dirname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellList,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellRefused,
  cellSplit,
  cellText,
  defined,
  fileInside,
  type Row,
  type Table,
} from '@onnx-lora/sdk/data';
import { type Columns, findColumns } from './columns.ts';
import type { Box, ImageDataOptions, ImageObject, ImageRecord, Point } from './imageRecord.ts';

/** Records of a table; whether their files exist is not looked at. */
export function manifestRecords(table: Table, options: ImageDataOptions = {}): ImageRecord[] {
  const columns = findColumns(table, options.columns, options.unused);
  const folder = options.imageFolder ?? dirname(table.file);
  return table.rows.map((row) => recordOf(row, columns, folder));
}

function recordOf(row: Row, columns: Columns, folder: string): ImageRecord {
  const { place } = row;
  const text = (column: string | undefined): string | undefined =>
    column === undefined ? undefined : cellText(row, column);
  const inside = (name: string): string => fileInside(folder, name, place, 'imageFolder');
  const name = text(columns.image);
  if (name === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: the column "${columns.image}" is empty. Name an image, or remove the line.`,
    );
  }
  const mask = text(columns.mask);
  const label = text(columns.label);
  const { xy, values, oneHot, labels, split } = columns;
  return {
    file: inside(name),
    place,
    ...defined({
      label,
      labels: oneHot ? cellOneHot(row, oneHot) : labels === undefined ? undefined : cellLabels(row, labels),
      values: values?.length === 1 ? cellNumbers(row, values[0]!) : values?.map((column) => cellNumber(row, column)),
      text: text(columns.text),
      mask: mask === undefined ? undefined : inside(mask),
      objects: objectsIn(row, columns, label),
      points: xy ? [[cellNumber(row, xy[0]), cellNumber(row, xy[1])] as const] : pointsOf(row, columns.points),
      group: text(columns.group),
      split: split === undefined ? undefined : cellSplit(row, split),
    }),
  };
}

function objectsIn(row: Row, columns: Columns, label: string | undefined): ImageObject[] | undefined {
  if (columns.objects !== undefined) return objectsOf(row, columns.objects);
  const box = columns.box && boxOf(row, columns.box.columns, columns.box.isSize);
  return box && [{ box, ...(label === undefined ? {} : { category: label }) }];
}

/** Points of one cell: `[[10, 20], [30, 40]]`, or one point. An empty cell has none. */
function pointsOf(row: Row, column: string | undefined): Point[] | undefined {
  const cell = column === undefined ? undefined : cellList(row, column);
  if (column === undefined || cell === undefined) return undefined;
  const pairs = Array.isArray(cell) && cell.every((each) => typeof each === 'number') ? [cell] : cell;
  if (Array.isArray(pairs) && pairs.every(isPoint)) return pairs;
  throw cellRefused(row, column, cell, 'a list of points', 'Write [[10, 20], [30, 40]]');
}
/** A box from one cell of four numbers, or from four cells. Empty cells give none. */
function boxOf(row: Row, columns: readonly string[], isSize: boolean): Box | undefined {
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
function objectsOf(row: Row, column: string): ImageObject[] | undefined {
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
