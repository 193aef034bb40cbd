/** @file Turns images into what a vision model is fed. */

import type { Tensor } from '@onnx-lora/sdk';
import type { Preprocessor } from '@onnx-lora/sdk/plugin';
import { type Image, type ImageDecoder, imageOf, type ImageLike, sourceName } from '../image/image.ts';
import { centerCropOffset, cropPlane, type Offset } from './crop.ts';
import { geometryOf } from './geometry.ts';
import { type ImagePlan, outputSize, type Size } from './imagePlan.ts';
import { normalizationTable, normalize, type Normalizer, type Pixels } from './normalize.ts';
import { resize, resizeFractional } from './resize/resize.ts';

/**
 * Decodes, resizes, crops, normalises and pads as `plan` says: bit for bit what the image processors of transformers
 * make with Pillow, within 1e-6 after normalising.
 */
export class ImagePreprocessor implements Preprocessor {
  /** The steps that it does. */
  readonly plan: ImagePlan;
  readonly #decoder: ImageDecoder;
  readonly #normalizer: Normalizer;

  /** `decoder` reads the files, `plan` says what is done to their pixels. */
  constructor(plan: ImagePlan, decoder: ImageDecoder) {
    this.plan = plan;
    this.#decoder = decoder;
    const { normalization, channelOrder = 'rgb' } = plan;
    this.#normalizer = { normalization, table: normalizationTable(normalization), channelOrder };
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
   * Float32 `[3, height, width]` of one image.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  async preprocess(source: ImageLike): Promise<Tensor> {
    return this.tensor(this.pixels(await imageOf(source, this.#decoder), sourceName(source)));
  }

  /**
   * The first half: resized and cropped, still 8 bits unless the plan says otherwise. `name` is for error messages.
   *
   * @throws OnnxLoraError `DATA_INVALID` when the image is too thin to be resized; `CONFIG_INVALID` when it does not
   *   fit into the plan's padding
   */
  pixels(image: Image, name = 'the image'): Pixels {
    const { resize: step, crop } = this.plan;
    // Also checks that the image can be resized at all.
    const { resized } = geometryOf(this.plan, image, name);
    const offset = crop ? centerCropOffset(resized, crop) : { top: 0, left: 0 };
    const size = crop ?? resized;
    if (!step) return cropPlane(image, 3, offset, size);
    const { height, width } = resized;
    if (step.fractional) return cropPlane(resizeFractional(image, height, width, step.resample), 3, offset, size);
    // What the crop will cut off is not computed.
    const window = within(resized, offset, size);
    const pixels = resize(image, height, width, step.resample, window);
    return cropPlane(pixels, 3, { top: offset.top - window.top, left: offset.left - window.left }, size);
  }

  /** The second half: float32 `[3, height, width]`, normalised and padded. */
  tensor(pixels: Pixels): Tensor {
    const { pad } = this.plan;
    return normalize(pixels, this.#normalizer, pad === undefined || pad === 'batch' ? pixels : pad);
  }
}

/** The part of a window that lies within an image of `size`. */
function within(size: Size, { top, left }: Offset, window: Size): Offset & Size {
  const [y0, x0] = [Math.max(0, top), Math.max(0, left)];
  return {
    top: y0,
    left: x0,
    height: Math.min(size.height, top + window.height) - y0,
    width: Math.min(size.width, left + window.width) - x0,
  };
}
