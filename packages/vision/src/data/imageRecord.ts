/** @file Image records, the common form of all layouts, and the options of image data. */

import type { DivideOptions, ReadData, Split } from '@onnx-lora/sdk/data';

/** An image of a dataset with its annotations. */
export interface ImageRecord {
  /** Path of the image file. */
  readonly file: string;
  /** Its source in messages: `labels.csv, line 12`, or the file. */
  readonly place: string;
  /** Its class. */
  readonly label?: string;
  /** All its labels. */
  readonly labels?: readonly string[];
  /** Regression targets. */
  readonly values?: readonly number[];
  /** A caption. */
  readonly text?: string;
  /** Path of a mask: class numbers per pixel, or one object in white. */
  readonly mask?: string;
  /** Objects in the image. */
  readonly objects?: readonly ImageObject[];
  /** Points in pixels on the object of `mask`. */
  readonly points?: readonly Point[];
  /** The group that splits never divide, such as a patient. */
  readonly group?: string;
  /** Its split, if the data name one. */
  readonly split?: Split;
}

/** An object in an image. */
export interface ImageObject {
  /** Its class. */
  readonly category?: string;
  /** Its bounding box. */
  readonly box?: Box;
  /** Its outline or pixels. */
  readonly shape?: Shape;
  /** Its area in pixels, by which metrics call it small or large; its box's by default. */
  readonly area?: number;
  /** True for a crowd of objects. */
  readonly crowd?: boolean;
}

/** `[x, y]` in pixels from the upper left corner; the first pixel's centre is `[0.5, 0.5]`. */
export type Point = readonly [x: number, y: number];

/** Left, upper, right and lower edge in pixels. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/** Polygons of alternating x and y; or the run lengths of a COCO mask, by columns, background first. */
export type Shape =
  | { readonly kind: 'polygons'; readonly rings: readonly (readonly number[])[] }
  | { readonly kind: 'runs'; readonly height: number; readonly width: number; readonly counts: readonly number[] };

/** Images by split. */
export interface ImageData extends ReadData<ImageRecord> {
  /** The folder or file, for messages. */
  readonly root: string;
}

/** A source of images: a path, the result of {@link readImageData}, or own records. */
export type ImageSource = string | ImageData | AsyncIterable<ImageRecord> | readonly ImageRecord[];

/** Names of a manifest's columns, where they are unusual. */
export interface ColumnNames {
  /** Path of the image. */
  readonly image?: string;
  /** Its class. */
  readonly label?: string;
  /** All its labels: one column that lists them, or binary columns named after them. */
  readonly labels?: string | readonly string[];
  /** Regression targets. */
  readonly values?: string | readonly string[];
  /** A caption. */
  readonly text?: string;
  /** Path of the mask. */
  readonly mask?: string;
  /** A point on the object in pixels, with `y`. */
  readonly x?: string;
  /** See `x`. */
  readonly y?: string;
  /** Points as a JSON list of pairs. */
  readonly points?: string;
  /** A box as four numbers, or four columns: left, upper, right and lower edge. */
  readonly box?: string | readonly string[];
  /** The group that splits never divide, such as a patient. */
  readonly group?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of {@link readImageData}. */
export interface ImageDataOptions extends DivideOptions<ImageRecord> {
  /** Names of a manifest's columns, where they are unusual: `{ label: 'species', group: 'patient' }`. */
  readonly columns?: ColumnNames | undefined;
  /** Folder of relative paths in a manifest or COCO file; the file's own by default. */
  readonly imageFolder?: string | undefined;
  /** Rows with a missing image: `fail` (the default), or `skip` with a warning. */
  readonly missingImages?: 'fail' | 'skip' | undefined;
  /** Warns about identical files in different splits; true by default. Reads files of equal size. */
  readonly findDuplicates?: boolean | undefined;
}

/** The labels of a record. */
export function labelsOfRecord({ label, labels }: ImageRecord): readonly string[] {
  return label === undefined ? (labels ?? []) : [label];
}
