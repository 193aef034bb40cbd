/** @file Images with class maps as a dataset. */

import type { Tensor } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import { withSourceLocation, contentKey, nameOfRecord, drawSeed } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../augment/augment.ts';
import type { Mask } from '../../augment/sample.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import { checkNumber, type SegmentationClasses } from './segmentationClasses.ts';

/** One image, ready to be fed. */
export interface SegmentationExample {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** The class of each pixel of `pixels`; 255 where it does not count. */
  readonly classes: Mask;
}

/** What a dataset is made of. */
export interface SegmentationDatasetOptions {
  readonly records: readonly ImageRecord[];
  readonly classes: SegmentationClasses;
  readonly loader: ImageLoader;
  /** Applied to what is drawn in training. */
  readonly augmentations: readonly Augmentation[];
  readonly seed: number;
}

/** Records, each loaded when asked for. */
export class SegmentationDataset implements Dataset<SegmentationExample> {
  readonly records: readonly ImageRecord[];
  readonly isDeterministic: boolean;
  readonly #options: SegmentationDatasetOptions;

  constructor(options: SegmentationDatasetOptions) {
    this.records = options.records;
    this.isDeterministic = options.augmentations.length === 0;
    this.#options = options;
  }

  get length(): number {
    return this.records.length;
  }

  /** The image's path, and where the data names it. */
  nameOf(index: number): string {
    const record = this.records[index];
    return record ? nameOfRecord(record) : String(index);
  }

  /** The content of the image's file. */
  async keyOf(index: number): Promise<string> {
    return contentKey(this.records[index]!.file);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when image or mask cannot be read or do not fit together */
  async get(index: number, draw?: number): Promise<SegmentationExample> {
    const record = this.records[index];
    if (!record) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const { classes, loader, augmentations, seed } = this.#options;
    const isRandom = draw !== undefined && augmentations.length > 0;
    const drawn = isRandom && { augmentations, seed: drawSeed(seed, draw) };
    const { pixels, masks } = await withSourceLocation(record, () =>
      loader.load({ image: record.file, masks: [classes.maskOf(record)], ...drawn }),
    );
    const [mask] = masks!;
    for (const number of new Set(mask!.data)) {
      checkNumber(number, classes.labels, `of ${record.place}`);
    }
    return { file: record.file, pixels, classes: mask! };
  }
}
