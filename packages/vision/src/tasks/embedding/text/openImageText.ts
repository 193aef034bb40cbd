/** @file What every use of a model of images and texts begins with. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImageReading, type OpenedImages, openImages } from '../../imageReading.ts';
import { type ImageTextPorts, imageTextPorts } from './imageTextPorts.ts';
import { type TextTokenizer, textTokenizer } from './textTokenizer.ts';

/** The model's ports, and what makes its images and texts. */
export interface OpenedImageText extends OpenedImages {
  readonly ports: ImageTextPorts;
  readonly tokenizer: TextTokenizer;
}

/**
 * Finds them.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another kind of model, `CONFIG_INVALID` without the files of its
 *   preprocessor and its tokenizer
 */
export async function openImageText(model: TaskModel, reading: ImageReading): Promise<OpenedImageText> {
  const ports = imageTextPorts(model);
  const opened = await openImages(model, ports.image.name, reading);
  return { ...opened, ports, tokenizer: await textTokenizer(model) };
}
