/** @file The image preprocessor. */

import type { Tensor } from '@onnx-lora/sdk';
import type { Preprocessor } from '@onnx-lora/sdk/plugin';
import { type Image, type ImageDecoder, imageOf, type ImageLike, sourceName } from '../image/image.ts';
import { centerCropOffset, cropPlane, type Offset } from './crop.ts';
import { geometryOf } from './geometry.ts';
import { type ImagePlan, outputSize, type Size } from './imagePlan.ts';
import { normalizationTable, normalize, type Normalizer, type Pixels } from './normalize.ts';
import { resize, resizeFractional } from './resize/resize.ts';

/**
 * Decodes, resizes, crops, normalises and pads by a plan: bit for bit as transformers' image processors with Pillow,
 * within 1e-6 after normalising.
 */
export class ImagePreprocessor implements Preprocessor {
  /** The preprocessing steps. */
  readonly plan: ImagePlan;
  readonly #decoder: ImageDecoder;
  readonly #normalizer: Normalizer;

  /** `decoder` reads the files, `plan` gives the steps. */
  constructor(plan: ImagePlan, decoder: ImageDecoder) {
    this.plan = plan;
    this.#decoder = decoder;
    const { normalization, channelOrder = 'rgb' } = plan;
    this.#normalizer = { normalization, table: normalizationTable(normalization), channelOrder };
  }

  /** The decoder of files. */
  get decoder(): ImageDecoder {
    return this.#decoder;
  }

  /** Size of all outputs; undefined if it depends on the image. */
  get outputSize(): Size | undefined {
    return outputSize(this.plan);
  }

  /**
   * Float32 `[3, height, width]` of one image.
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  async preprocess(source: ImageLike): Promise<Tensor> {
    return this.tensor(this.pixels(await imageOf(source, this.#decoder), sourceName(source)));
  }

  /**
   * First half: resizes and crops, at 8 bits unless the plan is fractional. `name` is for messages.
   * @throws OnnxLoraError `DATA_INVALID` for an image too thin to be resized; `CONFIG_INVALID` for one beyond the
   *   plan's padding
   */
  pixels(image: Image, name = 'the image'): Pixels {
    const { resize: step, crop } = this.plan;
    // Also checks that the image can be resized.
    const { resized } = geometryOf(this.plan, image, name);
    const offset = crop ? centerCropOffset(resized, crop) : { top: 0, left: 0 };
    const size = crop ?? resized;
    if (!step) return cropPlane(image, 3, offset, size);
    const { height, width } = resized;
    if (step.fractional) return cropPlane(resizeFractional(image, height, width, step.resample), 3, offset, size);
    // Skips what the crop cuts off.
    const window = within(resized, offset, size);
    const pixels = resize(image, height, width, step.resample, window);
    return cropPlane(pixels, 3, { top: offset.top - window.top, left: offset.left - window.left }, size);
  }

  /** Second half: float32 `[3, height, width]`, normalised and padded. */
  tensor(pixels: Pixels): Tensor {
    const { pad } = this.plan;
    return normalize(pixels, this.#normalizer, pad === undefined || pad === 'batch' ? pixels : pad);
  }
}

/** The part of a window within an image of `size`. */
function within(size: Size, { top, left }: Offset, window: Size): Offset & Size {
  const [y0, x0] = [Math.max(0, top), Math.max(0, left)];
  return {
    top: y0,
    left: x0,
    height: Math.min(size.height, top + window.height) - y0,
    width: Math.min(size.width, left + window.width) - x0,
  };
}
