/** @file Which column of a manifest holds what: by its name, or as the user says. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  ColumnFinder,
  type ColumnRoles,
  defined,
  type Table,
  tasksOfColumns,
  type UnusedColumns,
} from '@onnx-lora/sdk/data';
import { isImage } from '../image/imageFormat.ts';

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

/** What the columns of manifests of images may hold, in the order in which they are looked for. */
export const imageColumns: ColumnRoles<keyof ColumnNames> = {
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

/** The tasks that learn what columns hold of whole images. Captions are learned by `image-text`, the usual task of its models. */
const learnedBy = { label: 'image-classification', labels: 'multi-label-classification', values: 'image-regression' };

const corners = [
  ['x0', 'y0', 'x1', 'y1'],
  ['xmin', 'ymin', 'xmax', 'ymax'],
] as const;

/**
 * Finds the columns.
 *
 * @throws OnnxLoraError `DATA_INVALID` when none names the image, or the user names one that is not there
 */
export function findColumns(table: Table, names: ColumnNames = {}, unused?: UnusedColumns): Columns {
  const finder = new ColumnFinder(table, imageColumns, names);
  const [manyLabels, boxes] = [finder.chosen('labels'), finder.chosen('box')];
  if (![0, 1, 4].includes(boxes.length))
    throw new OnnxLoraError('DATA_INVALID', `columns.box names ${boxes.length} columns. Name one, or four.`);
  const image = finder.one('image');
  if (image === undefined) throw finder.missing('image', { what: 'the image', isData: isImage, header: 'image,label' });
  // Who names several labels means no single one, unless it is named, too.
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
  // Beside places in an image a label is that of an object.
  const isPlaced = [found.mask, found.points, x, box, bbox, objects].some((each) => each !== undefined);
  const tasks = isPlaced ? [] : tasksOfColumns(table.columns, imageColumns, learnedBy);
  unused?.add(
    finder.rest.filter((column) => !oneHot?.includes(column)),
    tasks,
  );
  return {
    image,
    ...defined({
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

/** Two or more columns whose every cell is 0 or 1. */
function binaryColumns({ rows }: Table, columns: readonly string[]): readonly string[] | undefined {
  const isBit = (cell: unknown): boolean => [0, 1, '0', '1', true, false].includes(cell as number);
  const binary = columns.filter((column) => rows.every(({ cells }) => isBit(cells.get(column))));
  return binary.length > 1 ? binary : undefined;
}
