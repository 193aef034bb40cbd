/** @file Images with what is known of them, as a dataset. */

import type { Tensor } from '@onnx-lora/sdk';
import { balancedWeights, type Dataset } from '@onnx-lora/sdk/tasks';
import { withSourceLocation, contentKey, nameOfRecord, drawSeed } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../augment/augment.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { labelsOfRecord } from '../../data/recordLabels.ts';
import type { ImageLoader } from '../../preprocess/imageRequest.ts';

/** One image, ready to be fed. */
export interface ImageExample<Target> {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** What is known of it, such as the number of its class among the model's outputs. */
  readonly target: Target;
  /** In training, how many examples were drawn before. */
  readonly draw?: number;
}

/** How the images of a dataset are loaded. */
export interface ImageLoading {
  /** Decodes and preprocesses the images. */
  readonly loader: ImageLoader;
  /** What is done at random to images that are drawn. */
  readonly augment: readonly Augmentation[];
  /** Seeds all that is random; with it every draw is the same again. */
  readonly seed: number;
}

/** Images, each loaded when asked for. */
export class ImageDataset<Target> implements Dataset<ImageExample<Target>> {
  /** The images. */
  readonly records: readonly ImageRecord[];
  /** What is to be predicted of each record. */
  readonly targets: readonly Target[];
  readonly #loading: ImageLoading;

  /** `targets` has one for each record. */
  constructor(records: readonly ImageRecord[], targets: readonly Target[], loading: ImageLoading) {
    this.records = records;
    this.targets = targets;
    this.#loading = loading;
  }

  /** How many images there are. */
  get length(): number {
    return this.records.length;
  }

  /** True where nothing about the images is random. */
  get isDeterministic(): boolean {
    return this.#loading.augment.length === 0;
  }

  /** How often each is drawn where every label comes equally often; undefined where there are no labels. */
  get weights(): readonly number[] | undefined {
    const isLabelled = this.records.some(({ label, labels }) => label !== undefined || labels !== undefined);
    return isLabelled ? balancedWeights(this.records.map(labelsOfRecord)) : undefined;
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

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when the image cannot be decoded */
  async get(index: number, draw?: number): Promise<ImageExample<Target>> {
    const found = this.records[index];
    if (!found) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const { loader, augment, seed } = this.#loading;
    const isAugmented = draw !== undefined && augment.length > 0;
    const drawn = isAugmented ? { augmentations: augment, seed: drawSeed(seed, draw) } : {};
    const { pixels } = await withSourceLocation(found, () => loader.load({ image: found.file, ...drawn }));
    return { file: found.file, pixels, target: this.targets[index]!, ...(draw === undefined ? {} : { draw }) };
  }
}
