/** @file What reads images for a SAM: its steps must be known to move prompts and masks along. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImageReading, type OpenedImages, openImages } from '../imageReading.ts';

/**
 * The loader of a SAM's images, and its preprocessor.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when there is no preprocessor, its images are of no fixed size, or not of the graph's
 */
export async function openSamImages(model: TaskModel, reading: ImageReading): Promise<Required<OpenedImages>> {
  const { preprocessor, ...opened } = await openImages(model, 'pixel_values', reading);
  if (!preprocessor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${opened.path}" is read by a preprocessor of your own, which cannot say where a point of an image ends up. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  if (preprocessor.outputSize) return { ...opened, preprocessor };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${opened.path}" makes images of different sizes, and SAM takes one. Set "pad_size" as it was published.`,
  );
}
