/** @file Labelled images as a dataset. */

import type { Dataset, Preprocessor, Tensor } from '@onnx-lora/sdk';
import type { LabelledFile } from '../../data/imageFolder.ts';

/** One image, ready to be fed. */
export interface ImageExample {
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** Number of the class among the model's outputs. */
  readonly label: number;
}

/** Images of a folder, each preprocessed when asked for. */
export class ImageDataset implements Dataset<ImageExample> {
  /** Nothing about the images is random. */
  readonly isDeterministic = true;
  readonly #files: readonly LabelledFile[];
  readonly #labels: readonly number[];
  readonly #preprocessor: Preprocessor;

  /** `labels` are the model's; every file's class is among them. */
  constructor(files: readonly LabelledFile[], labels: readonly string[], preprocessor: Preprocessor) {
    const numbers = new Map(labels.map((label, id) => [label, id]));
    this.#files = files;
    this.#labels = files.map(({ className }) => numbers.get(className)!);
    this.#preprocessor = preprocessor;
  }

  get length(): number {
    return this.#files.length;
  }

  /** Class numbers that occur. */
  get present(): ReadonlySet<number> {
    return new Set(this.#labels);
  }

  /** The image's path. */
  nameOf(index: number): string {
    return this.#files[index]?.file ?? String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when the image cannot be decoded */
  async get(index: number): Promise<ImageExample> {
    const found = this.#files[index];
    if (!found) throw new RangeError(`There is no example ${index}: the dataset has ${this.#files.length}.`);
    return { file: found.file, pixels: await this.#preprocessor.preprocess(found.file), label: this.#labels[index]! };
  }
}
