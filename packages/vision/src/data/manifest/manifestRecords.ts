/** @file Records from a manifest: a table that names an image per row. */

import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageDataOptions } from '../imageData.ts';
import type { ImageObject, ImageRecord } from '../imageRecord.ts';
import { boxOf, labelsOf, numberOf, numbersOf, objectsOf, oneHotOf, pointsOf, splitOf, textOf } from './cells.ts';
import { type Columns, findColumns } from './columns.ts';
import type { Row, Table } from './table.ts';

/** Records of a table; whether their files exist is not looked at. */
export function manifestRecords(table: Table, options: ImageDataOptions = {}): ImageRecord[] {
  const columns = findColumns(table, options.columns);
  const folder = options.imageFolder ?? dirname(table.file);
  return table.rows.map((row) => recordOf(row, columns, folder));
}

function recordOf(row: Row, columns: Columns, folder: string): ImageRecord {
  const name = textOf(row, columns.image);
  if (name === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${row.place}: the column "${columns.image}" is empty. Name an image, or remove the line.`,
    );
  }
  const optional = (column: string | undefined): string | undefined =>
    column === undefined ? undefined : textOf(row, column);
  const maskName = optional(columns.mask);
  const label = optional(columns.label);
  const labels = columns.oneHot ? oneHotOf(row, columns.oneHot) : columns.labels && labelsOf(row, columns.labels);
  const [value] = columns.values ?? [];
  const values =
    columns.values && columns.values.length > 1
      ? columns.values.map((column) => numberOf(row, column))
      : value && numbersOf(row, value);
  const points = columns.xy
    ? [[numberOf(row, columns.xy[0]), numberOf(row, columns.xy[1])] as const]
    : columns.points && pointsOf(row, columns.points);
  const text = optional(columns.text);
  const group = optional(columns.group);
  const split = columns.split && splitOf(row, columns.split);
  const objects = objectsIn(row, columns, label);
  return {
    file: fileInside(folder, name, row.place),
    place: row.place,
    ...(label === undefined ? {} : { label }),
    ...(labels ? { labels } : {}),
    ...(values ? { values } : {}),
    ...(text === undefined ? {} : { text }),
    ...(maskName === undefined ? {} : { mask: fileInside(folder, maskName, row.place) }),
    ...(objects ? { objects } : {}),
    ...(points ? { points } : {}),
    ...(group === undefined ? {} : { group }),
    ...(split ? { split } : {}),
  };
}

function objectsIn(row: Row, columns: Columns, label: string | undefined): ImageObject[] | undefined {
  if (columns.objects) return objectsOf(row, columns.objects);
  const box = columns.box && boxOf(row, columns.box.columns, columns.box.isSize);
  return box && [{ box, ...(label === undefined ? {} : { category: label }) }];
}

/**
 * The path of a file that a manifest names.
 *
 * @throws OnnxLoraError `DATA_INVALID` when it is not below `folder`: a manifest may come from a stranger
 */
export function fileInside(folder: string, name: string, place: string): string {
  const path = relative(resolve(folder), resolve(folder, name));
  if (path !== '' && path.split(sep)[0] !== '..' && !isAbsolute(path)) return join(folder, path);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: "${name}" lies outside of "${folder}". A manifest may name files of its own folder only; if this one is right, give the folder that its names start from: imageFolder: '…'.`,
  );
}
