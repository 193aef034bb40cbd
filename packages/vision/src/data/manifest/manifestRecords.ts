/** @file Records from a manifest: a table that names an image per row. */

import { dirname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellSplit,
  cellText,
  type Row,
  type Table,
} from '@onnx-lora/sdk/data';
import { imageInside } from '../imageInside.ts';
import type { ImageDataOptions } from '../imageData.ts';
import type { ImageObject, ImageRecord } from '../imageRecord.ts';
import { type Columns, findColumns } from './columns.ts';
import { boxOf, objectsOf, pointsOf } from './shapeCells.ts';

/** Records of a table; whether their files exist is not looked at. */
export function manifestRecords(table: Table, options: ImageDataOptions = {}): ImageRecord[] {
  const columns = findColumns(table, options.columns);
  const folder = options.imageFolder ?? dirname(table.file);
  return table.rows.map((row) => recordOf(row, columns, folder));
}

function recordOf(row: Row, columns: Columns, folder: string): ImageRecord {
  const name = cellText(row, columns.image);
  if (name === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${row.place}: the column "${columns.image}" is empty. Name an image, or remove the line.`,
    );
  }
  const optional = (column: string | undefined): string | undefined =>
    column === undefined ? undefined : cellText(row, column);
  const maskName = optional(columns.mask);
  const label = optional(columns.label);
  const labels = columns.oneHot ? cellOneHot(row, columns.oneHot) : columns.labels && cellLabels(row, columns.labels);
  const [value] = columns.values ?? [];
  const values =
    columns.values && columns.values.length > 1
      ? columns.values.map((column) => cellNumber(row, column))
      : value && cellNumbers(row, value);
  const points = columns.xy
    ? [[cellNumber(row, columns.xy[0]), cellNumber(row, columns.xy[1])] as const]
    : columns.points && pointsOf(row, columns.points);
  const text = optional(columns.text);
  const group = optional(columns.group);
  const split = columns.split && cellSplit(row, columns.split);
  const objects = objectsIn(row, columns, label);
  return {
    file: imageInside(folder, name, row.place),
    place: row.place,
    ...(label === undefined ? {} : { label }),
    ...(labels ? { labels } : {}),
    ...(values ? { values } : {}),
    ...(text === undefined ? {} : { text }),
    ...(maskName === undefined ? {} : { mask: imageInside(folder, maskName, row.place) }),
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
