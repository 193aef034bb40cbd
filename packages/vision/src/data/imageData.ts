/** @file Images of a dataset by split, and what a user may say of how they are read. */

import type { EvalSplit } from '@onnx-lora/sdk/data';
import type { ImageRecord } from './imageRecord.ts';
import type { ColumnNames } from './manifest/columns.ts';

/** Images of a dataset, by split. */
export interface ImageData {
  /** What the data is called in messages: its folder or file. */
  readonly root: string;
  /** What is trained on. */
  readonly train: readonly ImageRecord[];
  /** What is measured on; absent where the data holds nothing out. */
  readonly validation?: readonly ImageRecord[];
  /** What is measured on at the very end; absent where the data has no such split. */
  readonly test?: readonly ImageRecord[];
  /** What its owner should know before training, such as images that are in two splits. */
  readonly warnings?: readonly string[];
}

/** Where images come from: a path, what {@link readImageData} gave, or records of the user's own. */
export type ImageSource = string | ImageData | AsyncIterable<ImageRecord> | readonly ImageRecord[];

/** Options of {@link readImageData}. */
export interface ImageDataOptions {
  /**
   * Data held out for evaluation: the path of other data, or a fraction between 0 and 1 of what would be trained on. Without
   * it, the data's own validation split is taken, or its test split where it has no other.
   */
  readonly validation?: string | number | undefined;
  /** Seed of the split by fraction; 0 by default. */
  readonly seed?: number | undefined;
  /** Which of the data's own splits is measured on: `test` in place of any other, or `validation`, the default. */
  readonly evalSplit?: EvalSplit | undefined;
  /** Columns of a manifest whose names do not say what they hold: `{ label: 'species', group: 'patient' }`. */
  readonly columns?: ColumnNames | undefined;
  /** The folder that the names of images in a manifest or a COCO file start from; the file's own by default. */
  readonly imageFolder?: string | undefined;
  /** What becomes of a manifest's rows whose image does not exist: `fail` (the default), or `skip` with a warning. */
  readonly missingImages?: 'fail' | 'skip' | undefined;
  /** Whether images of the same bytes are looked for in different splits; true by default. Reads files that have the same size. */
  readonly findDuplicates?: boolean | undefined;
}
