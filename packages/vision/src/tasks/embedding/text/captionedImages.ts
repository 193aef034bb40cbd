/** @file Images with captions as a dataset. */

import type { Tensor } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import { withSourceLocation, contentKey, nameOfRecord, drawSeed } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../../augment/augment.ts';
import type { ImageRecord } from '../../../data/imageRecord.ts';
import type { ImageLoader } from '../../../preprocess/imageRequest.ts';

/** An image and its caption, ready to be fed. */
export interface CaptionedImage {
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** Token ids of the caption. */
  readonly ids: readonly number[];
  /** The same number for all captions of one image. */
  readonly image: number;
}

/** What the dataset is made of. */
export interface CaptionedImagesRequest {
  readonly records: readonly ImageRecord[];
  /** Token ids of each record's caption. */
  readonly ids: readonly (readonly number[])[];
  readonly images: ImageLoader;
  readonly augmentations: readonly Augmentation[];
  readonly seed: number;
}

/** An example per caption. */
export class CaptionedImages implements Dataset<CaptionedImage> {
  readonly isDeterministic: boolean;
  readonly #request: CaptionedImagesRequest;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(request: CaptionedImagesRequest) {
    this.#request = request;
    this.isDeterministic = request.augmentations.length === 0;
    this.#numbers = new Map(request.records.map(({ file }, i) => [file, i]));
  }

  get length(): number {
    return this.#request.records.length;
  }

  /** The image's path, and where the data names it. */
  nameOf(index: number): string {
    const record = this.#request.records[index];
    return record ? nameOfRecord(record) : String(index);
  }

  /** The content of the image's file. */
  async keyOf(index: number): Promise<string> {
    return contentKey(this.#request.records[index]!.file);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when the image cannot be decoded */
  async get(index: number, draw?: number): Promise<CaptionedImage> {
    const { records, ids, images, augmentations, seed } = this.#request;
    const record = records[index];
    if (!record) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const { file } = record;
    const drawn = draw === undefined || augmentations.length === 0 ? {} : { augmentations, seed: drawSeed(seed, draw) };
    const { pixels } = await withSourceLocation(record, () => images.load({ image: file, ...drawn }));
    return { pixels, ids: ids[index]!, image: this.#numbers.get(file)! };
  }
}
