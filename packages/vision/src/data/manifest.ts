/** @file Image manifests: their columns and rows, and the settings of image data. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  ColumnFinder,
  type ColumnRoles,
  withoutUndefined,
  type Table,
  tasksOfColumns,
  type UnusedColumns,
  columnSettings,
  evalSplitSetting,
  cellLabels,
  cellList,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellError,
  cellSplit,
  cellText,
  fileInside,
  type Row,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { dirname } from '@onnx-lora/sdk/platform';
import { isImage } from '../image/imageFile.ts';
import type { Box, ColumnNames, ImageDataOptions, ImageObject, ImageRecord, Point } from './imageRecord.ts';

export interface Columns {
  readonly image: string;
  readonly label?: string;
  readonly labels?: string;
  readonly oneHot?: readonly string[];
  readonly values?: readonly string[];
  readonly text?: string;
  readonly mask?: string;
  readonly xy?: readonly [string, string];
  readonly points?: string;
  /** One or four columns; `isSize` if the last two numbers are width and height. */
  readonly box?: { readonly columns: readonly string[]; readonly isSize: boolean };
  /** Objects in Hugging Face's form: `{ "bbox": [[x, y, width, height]], "categories": [0] }`. */
  readonly objects?: string;
  readonly group?: string;
  readonly split?: string;
}

/** Column roles of image manifests, in order of precedence. */
const imageColumns: ColumnRoles<keyof ColumnNames> = {
  image: {
    description: 'Column of a manifest with the path of the image.',
    usual: ['image', 'file', 'file_name', 'path', 'filename', 'image_path', 'image_file', 'img'],
  },
  label: {
    description: 'Column with the class.',
    usual: ['label', 'class', 'category', 'class_name'],
  },
  labels: {
    description: 'Column that lists labels, or columns of 0 and 1 named after them.',
    usual: ['labels', 'tags', 'classes', 'categories'],
    isMany: true,
  },
  values: {
    description: 'Columns with numbers to predict.',
    usual: ['value', 'values', 'target', 'targets'],
    isMany: true,
  },
  text: { description: 'Column with a caption.', usual: ['text', 'caption'] },
  mask: {
    description: 'Column with the path of a mask.',
    usual: ['mask', 'mask_path', 'mask_file'],
  },
  x: {
    description: 'With columns.y: columns of a point on the object, in pixels.',
    usual: ['x'],
  },
  y: { description: 'See columns.x.', usual: ['y'] },
  points: {
    description: 'Column with points on the object, as a JSON list of pairs.',
    usual: ['points'],
  },
  box: {
    description: 'Column with a box as four numbers, or four columns: left, upper, right and lower edge.',
    usual: ['box'],
    isMany: true,
  },
  group: {
    description: 'Column of what is never divided between splits, such as a patient.',
    usual: ['group'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split', 'subset'] },
};

/** Tasks by the column they learn. Captions are learned by `image-text`, the usual task of its models. */
const learnedBy = { label: 'image-classification', labels: 'multi-label-classification', values: 'image-regression' };

const corners = [
  ['x0', 'y0', 'x1', 'y1'],
  ['xmin', 'ymin', 'xmax', 'ymax'],
] as const;

/** Finds a table's columns. @throws OnnxLoraError `DATA_INVALID` without an image column, or a named one */
function findColumns(table: Table, names: ColumnNames = {}, unused?: UnusedColumns): Columns {
  const finder = new ColumnFinder(table, imageColumns, names);
  const [manyLabels, boxes] = [finder.chosen('labels'), finder.chosen('box')];
  if (![0, 1, 4].includes(boxes.length))
    throw new OnnxLoraError('DATA_INVALID', `columns.box names ${boxes.length} columns. Name one, or four.`);
  const image = finder.one('image');
  if (image === undefined) throw finder.missing('image', { what: 'the image', isData: isImage, header: 'image,label' });
  // Several label columns exclude a single one, unless it is named too.
  const label = manyLabels.length > 0 ? finder.chosen('label')[0] : finder.one('label');
  const labels = manyLabels.length > 1 ? undefined : finder.one('labels');
  const values = finder.many('values');
  const [x, y] = [finder.one('x'), finder.one('y')];
  const [objects] = finder.all(['objects']) ?? [];
  const box = finder.many('box') ?? finder.all(corners[0]) ?? finder.all(corners[1]);
  const bbox = box ? undefined : finder.all(['bbox']);
  const isTold = label !== undefined || labels !== undefined || values !== undefined;
  const found = {
    mask: finder.one('mask'),
    text: finder.one('text'),
    points: finder.one('points'),
    group: finder.one('group'),
    split: finder.one('split'),
  };
  const oneHot = manyLabels.length > 1 ? manyLabels : isTold ? undefined : binaryColumns(table, finder.rest);
  // With places in the image, a label is the object's.
  const isPlaced = [found.mask, found.points, x, box, bbox, objects].some((each) => each !== undefined);
  const tasks = isPlaced ? [] : tasksOfColumns(table.columns, imageColumns, learnedBy);
  unused?.add(
    finder.rest.filter((column) => !oneHot?.includes(column)),
    tasks,
  );
  return {
    image,
    ...withoutUndefined({
      ...found,
      label,
      labels,
      oneHot,
      values,
      xy: x === undefined || y === undefined ? undefined : ([x, y] as const),
      box: box ? { columns: box, isSize: false } : bbox && { columns: bbox, isSize: true },
      objects,
    }),
  };
}

/** At least two columns with cells 0 or 1 only. */
function binaryColumns({ rows }: Table, columns: readonly string[]): readonly string[] | undefined {
  const isBit = (cell: unknown): boolean => [0, 1, '0', '1', true, false].includes(cell as number);
  const binary = columns.filter((column) => rows.every(({ cells }) => isBit(cells.get(column))));
  return binary.length > 1 ? binary : undefined;
}

/** Settings of image data, for tables of tasks that read images. */
export const dataSettings: SettingRows<ImageDataOptions> = {
  columns: columnSettings<ColumnNames>(imageColumns),
  evalSplit: evalSplitSetting,
  imageFolder: {
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  missingImages: {
    kind: 'choice',
    of: ['fail', 'skip'],
    description: 'fail (default) or skip: lines whose image does not exist.',
  },
};

/** Records of a table, without a check that the files exist. */
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
    ...withoutUndefined({
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

/** Points in a cell: `[[10, 20], [30, 40]]`, or one point. */
function pointsOf(row: Row, column: string | undefined): Point[] | undefined {
  const cell = column === undefined ? undefined : cellList(row, column);
  if (column === undefined || cell === undefined) return undefined;
  const pairs = Array.isArray(cell) && cell.every((each) => typeof each === 'number') ? [cell] : cell;
  if (Array.isArray(pairs) && pairs.every(isPoint)) return pairs;
  throw cellError(row, column, cell, 'a list of points', 'Write [[10, 20], [30, 40]]');
}
/** A box from one cell of four numbers, or from four cells. */
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
  throw cellError(row, columns.join(', '), numbers, wanted, 'Correct it');
}

function objectsOf(row: Row, column: string): ImageObject[] | undefined {
  const cell = row.cells.get(column);
  if (cell === undefined || cell === null || cell === '') return undefined;
  const wrong = (): OnnxLoraError =>
    cellError(row, column, cell, 'objects', 'Write {"bbox": [[x, y, width, height]], "categories": ["cat"]}');
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

/** Four numbers as a box with an extent; undefined otherwise. */
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
