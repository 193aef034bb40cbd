/** @file What is known of an image before it is read: the one form that all layouts of data are brought to. */

import type { Split } from '@onnx-lora/sdk/data';

/** One image of a dataset, with what its data says about it. */
export interface ImageRecord {
  /** Path of the image file. */
  readonly file: string;
  /** Where the record comes from, for messages: `labels.csv, line 12`; the file itself where a folder says all. */
  readonly place: string;
  /** Name of its class. */
  readonly label?: string;
  /** Names of all its labels, where there may be none or many. */
  readonly labels?: readonly string[];
  /** Numbers to predict. */
  readonly values?: readonly number[];
  /** A caption. */
  readonly text?: string;
  /** Path of a mask image: class numbers per pixel, or one object in white. */
  readonly mask?: string;
  /** Things in the image. */
  readonly objects?: readonly ImageObject[];
  /** Points in pixels within the one object that `mask` shows. */
  readonly points?: readonly Point[];
  /** Records of one group, such as one patient, are never divided between splits. */
  readonly group?: string;
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
}

/** One thing in an image. */
export interface ImageObject {
  /** Its class. */
  readonly category?: string;
  /** The box around it. */
  readonly box?: Box;
  /** Its outline or its pixels. */
  readonly shape?: Shape;
  /** A group that nobody has told apart. */
  readonly crowd?: boolean;
}

/** `[x, y]` in pixels from the left upper corner; the middle of the first pixel is `[0.5, 0.5]`. */
export type Point = readonly [x: number, y: number];

/** Left, upper, right and lower edge in pixels. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/** Polygons of alternating x and y, or run lengths of an uncompressed COCO mask, column by column, background first. */
export type Shape =
  | { readonly kind: 'polygons'; readonly rings: readonly (readonly number[])[] }
  | { readonly kind: 'runs'; readonly height: number; readonly width: number; readonly counts: readonly number[] };
