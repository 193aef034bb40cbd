/** @file Which column of a manifest holds what: by its name, or as the user says. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import { isImage } from '../isImage.ts';

/** Names of columns, where they are not the usual ones. */
export interface ColumnNames {
  /** Path of the image. */
  readonly image?: string;
  /** Its class. */
  readonly label?: string;
  /** All its labels: one column that lists them, or columns of 0 and 1 that are named after them. */
  readonly labels?: string | readonly string[];
  /** Numbers to predict. */
  readonly values?: string | readonly string[];
  /** A caption. */
  readonly text?: string;
  /** Path of the mask. */
  readonly mask?: string;
  /** A point in pixels within the object: two columns. */
  readonly x?: string;
  /** The other of the two columns of `x`. */
  readonly y?: string;
  /** Points as a JSON list of pairs. */
  readonly points?: string;
  /** A box as four numbers, or four columns: left, upper, right and lower edge. */
  readonly box?: string | readonly string[];
  /** What is never divided between splits, such as a patient. */
  readonly group?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Columns that a table has, by what they hold. */
export interface Columns {
  readonly image: string;
  readonly label?: string;
  /** One column that lists labels. */
  readonly labels?: string;
  /** Columns of 0 and 1, named after labels. */
  readonly oneHot?: readonly string[];
  readonly values?: readonly string[];
  readonly text?: string;
  readonly mask?: string;
  readonly xy?: readonly [string, string];
  readonly points?: string;
  /** A column with four numbers or four columns, and whether the last two are width and height. */
  readonly box?: { readonly columns: readonly string[]; readonly isSize: boolean };
  /** Objects as Hugging Face datasets write them: `{ "bbox": [[x, y, width, height]], "categories": [0] }`. */
  readonly objects?: string;
  readonly group?: string;
  readonly split?: string;
}

const usual = {
  image: ['image', 'file', 'file_name', 'path', 'filename', 'image_path', 'image_file', 'img'],
  label: ['label', 'class', 'category', 'class_name'],
  labels: ['labels', 'tags', 'classes', 'categories'],
  values: ['value', 'values', 'target', 'targets'],
  text: ['text', 'caption'],
  mask: ['mask', 'mask_path', 'mask_file'],
  points: ['points'],
  x: ['x'],
  y: ['y'],
  box: ['box'],
  bbox: ['bbox'],
  objects: ['objects'],
  group: ['group'],
  split: ['split', 'subset'],
} as const;

const corners = [
  ['x0', 'y0', 'x1', 'y1'],
  ['xmin', 'ymin', 'xmax', 'ymax'],
] as const;

/**
 * Finds the columns.
 *
 * @throws OnnxLoraError `DATA_INVALID` when none names the image, or the user names one that is not there
 */
export function findColumns(table: Table, names: ColumnNames = {}): Columns {
  const finder = new ColumnFinder(table);
  const chosenAll = (given: string | readonly string[], role: string): string[] =>
    (typeof given === 'string' ? [given] : given).map((name) => finder.chosen(name, role));
  const found = (role: keyof typeof usual): string | undefined => finder.found(usual[role]);
  const one = (role: 'image' | 'label' | 'text' | 'mask' | 'points' | 'x' | 'y' | 'group' | 'split') =>
    names[role] === undefined ? found(role) : finder.chosen(names[role], role);
  const foundCorners = (): readonly string[] | undefined => {
    for (const each of corners) {
      const columns = finder.foundAll(each);
      if (columns) return columns;
    }
    return undefined;
  };

  // Columns that the user names are taken first, so that no usual name takes them for something else.
  const given = {
    labels: names.labels === undefined ? undefined : chosenAll(names.labels, 'labels'),
    values: names.values === undefined ? undefined : chosenAll(names.values, 'values'),
    box: names.box === undefined ? undefined : chosenAll(names.box, 'box'),
  };
  if (given.box && given.box.length !== 1 && given.box.length !== 4)
    throw new OnnxLoraError('DATA_INVALID', `columns.box names ${given.box.length} columns. Name one, or four.`);
  for (const role of ['image', 'label', 'text', 'mask', 'points', 'x', 'y', 'group', 'split'] as const)
    if (names[role] !== undefined) finder.chosen(names[role], role);

  const image = one('image');
  if (image === undefined) throw noImageColumn(table);
  const label = given.labels ? (names.label === undefined ? undefined : one('label')) : one('label');
  const labels = given.labels ? (given.labels.length === 1 ? given.labels[0] : undefined) : found('labels');
  const values = given.values ?? [found('values')].filter((column) => column !== undefined);
  const text = one('text');
  const mask = one('mask');
  const [points, x, y, group, split] = [one('points'), one('x'), one('y'), one('group'), one('split')];
  const objects = found('objects');
  const box = given.box ?? [found('box')].filter((column) => column !== undefined);
  const edges = box.length > 0 ? undefined : foundCorners();
  const bbox = box.length > 0 || edges ? undefined : found('bbox');
  const oneHot =
    given.labels && given.labels.length > 1
      ? given.labels
      : label === undefined && labels === undefined && values.length === 0
        ? binaryColumns(table, finder.rest)
        : [];
  return {
    image,
    ...(label === undefined ? {} : { label }),
    ...(labels === undefined ? {} : { labels }),
    ...(oneHot.length > 0 ? { oneHot } : {}),
    ...(values.length > 0 ? { values } : {}),
    ...(text === undefined ? {} : { text }),
    ...(mask === undefined ? {} : { mask }),
    ...(points === undefined ? {} : { points }),
    ...(x === undefined || y === undefined ? {} : { xy: [x, y] as const }),
    ...(bbox === undefined ? {} : { box: { columns: [bbox], isSize: true } }),
    ...(box.length === 0 && !edges ? {} : { box: { columns: edges ?? box, isSize: false } }),
    ...(objects === undefined ? {} : { objects }),
    ...(group === undefined ? {} : { group }),
    ...(split === undefined ? {} : { split }),
  };
}

/** Two or more columns whose every cell is 0 or 1. */
function binaryColumns({ rows }: Table, columns: readonly string[]): string[] {
  const binary = columns.filter((column) => rows.every(({ cells }) => isBit(cells.get(column))));
  return binary.length > 1 ? binary : [];
}

/** Whether a cell is 0 or 1. */
function isBit(cell: unknown): boolean {
  return cell === '0' || cell === '1' || cell === 0 || cell === 1 || typeof cell === 'boolean';
}

function noImageColumn({ file, columns }: Table): OnnxLoraError {
  const remedy = columns.some(isImage)
    ? 'Its first line names an image: put a header before it, such as "image,label".'
    : `Name it "image", or say which it is: columns: { image: '${columns[0] ?? 'image'}' }.`;
  return new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has no column for the image, such as ${listed(usual.image.slice(0, 4))}. Its columns: ${listed(columns)}. ${remedy}`,
  );
}
