/** @file What all tasks on images share: settings, and what reads the images. */

import { fileTaskOf, headSetting, type ProcessorFactory, type ProcessorFacts } from '@onnx-lora/sdk/tasks';
import type { PreprocessorFactory, SettingRows } from '@onnx-lora/sdk/plugin';
import { augmentSetting } from '../augment/augment.ts';
import { dataSettings } from '../data/dataSettings.ts';
import type { ImageDecoder } from '../image/image.ts';
import type { ImageTaskOptions } from './classification/imageExamples.ts';

/** Settings of the tasks with one answer per image. */
export const imageSettings: SettingRows<ImageTaskOptions> = {
  augment: augmentSetting,
  head: headSetting,
  ...dataSettings,
};

/** What decodes and preprocesses the images of a task. */
export interface ImageTools {
  /** Reads image files. */
  readonly decoder: ImageDecoder;
  /** Makers of preprocessors, asked in order. */
  readonly preprocessors: readonly PreprocessorFactory[];
}

/** Makes the factory of a task on images; `preprocessors` are asked in order. */
export type ImageTask = (decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) => ProcessorFactory;

/** A task on images from what is said of it. */
export function imageTask<Options>(facts: ProcessorFacts<Options, ImageTools>): ImageTask {
  return (decoder, preprocessors) => fileTaskOf(facts, { decoder, preprocessors });
}
