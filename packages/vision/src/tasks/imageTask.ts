/** @file What the factories of all tasks on images share: settings, what reads the images, and predictors. */

import {
  filePredictor,
  headSetting,
  type Predictor,
  type Processor,
  type RunnableModel,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { ImageDataOptions } from '../data/imageRecord.ts';
import type {
  GivenOptions,
  PredictorOptions,
  PreprocessorFactory,
  SettingRows,
  SettingTable,
  TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { augmentSetting } from '../augment/augment.ts';
import { dataSettings } from '../data/dataSettings.ts';
import type { ImageDecoder } from '../image/image.ts';
import type { ImageTaskOptions } from './classification/imageExamples.ts';
import type { ImageReading } from './imageReading.ts';

/** Settings of the tasks with one answer per image. */
export const imageSettings: SettingRows<ImageTaskOptions> = {
  augment: augmentSetting,
  head: headSetting,
  ...dataSettings,
};

/** A factory of tasks on images. */
export abstract class ImageTaskFactory<Options> {
  /** Settings of the task and of its predictor, by the options that they give. */
  abstract readonly settings: SettingTable<Options>;
  /** What decodes and preprocesses the images. */
  protected readonly reading: Pick<ImageReading, 'decoder' | 'preprocessors'>;

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.reading = { decoder, preprocessors };
  }

  /** What the command line's words say of the task. */
  protected optionsOf(options: TaskOptions): GivenOptions<Options> & ImageDataOptions & ImageReading {
    const { validation, holdOut, seed, settings } = options;
    return { ...this.settings.read(settings), ...this.reading, validation, holdOut, seed };
  }

  /** How image files become feeds, and what the outputs mean; for programs that run the session themselves. */
  abstract processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor>;

  /** Answers about image files. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return filePredictor(model, await this.processor(model, options.settings), options);
  }
}
