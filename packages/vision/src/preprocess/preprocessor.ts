/** @file Turns image files into what a vision model is fed. */

import { OnnxLoraError, type Preprocessor, type Tensor } from '@onnx-lora/sdk';
import { centerCrop } from './centerCrop.ts';
import type { Image, ImageDecoder } from '../image/image.ts';
import { type ImagePlan, outputSize, resizedSize, type Size } from './imagePlan.ts';
import { normalizationTable, normalize } from './normalize.ts';
import { resize } from './resize.ts';

/** More than this after resizing is a mistake: an image of 10,000 x 1 scaled until its edge of 1 is 224. */
const largestResult = 100_000_000;

/**
 * Decodes, resizes, crops, normalises and pads as `plan` says: bit for bit what the image processors of transformers
 * make with Pillow, within 1e-6 after normalising.
 */
export class ImagePreprocessor implements Preprocessor {
  readonly plan: ImagePlan;
  readonly #decoder: ImageDecoder;
  readonly #table: Float32Array;

  constructor(plan: ImagePlan, decoder: ImageDecoder) {
    this.plan = plan;
    this.#decoder = decoder;
    this.#table = normalizationTable(plan.normalization);
  }

  /** What reads the files. */
  get decoder(): ImageDecoder {
    return this.#decoder;
  }

  /** Size of every image that comes out; undefined where it depends on the image. */
  get outputSize(): Size | undefined {
    return outputSize(this.plan);
  }

  /**
   * Float32 `[3, height, width]` of one file.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  async preprocess(file: string): Promise<Tensor> {
    const image = await this.#decoder.decode(file);
    return this.tensor(this.pixels(image, file));
  }

  /** The first half: resized and cropped, still 8 bits. `name` is for error messages. */
  pixels(image: Image, name = 'the image'): Image {
    const { resize: step, crop } = this.plan;
    let pixels = image;
    if (step) {
      const { height, width } = resizedSize(image, step.to);
      if (height < 1 || width < 1 || height * width > largestResult) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `The image "${name}" of ${image.width} x ${image.height} pixels would be resized to ${width} x ${height}. Its shape is too extreme for this model: crop it, or take it out of the data.`,
        );
      }
      pixels = resize(image, height, width, step.resample);
    }
    return crop ? centerCrop(pixels, crop.height, crop.width) : pixels;
  }

  /** The second half: float32 `[3, height, width]`, normalised and padded. */
  tensor(pixels: Image): Tensor {
    const { height, width } = this.plan.pad ?? pixels;
    if (pixels.height > height || pixels.width > width) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `An image of ${pixels.width} x ${pixels.height} pixels after resizing does not fit "pad_size" of ${width} x ${height}. Correct "size" or "pad_size" in preprocessor_config.json.`,
      );
    }
    return normalize(pixels, this.#table, height, width);
  }
}
