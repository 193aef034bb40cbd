/** @file What the factories of all tasks on images share: what reads the images, and predictors. */

import {
  filePredictor,
  type Predictor,
  type Processor,
  type RunnableModel,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { PredictorOptions, PreprocessorFactory, TaskOptions } from '@onnx-lora/sdk/plugin';
import { dataOptions } from '../data/dataSettings.ts';
import type { TaskDataOptions } from '../data/readTaskData.ts';
import type { ImageDecoder } from '../image/image.ts';
import type { ImageReading } from './imageReading.ts';

/** A factory of tasks on images. */
export abstract class ImageTaskFactory {
  /** What decodes and preprocesses the images. */
  protected readonly reading: Pick<ImageReading, 'decoder' | 'preprocessors'>;

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.reading = { decoder, preprocessors };
  }

  /** How data and images are read, from the command line's words. */
  protected readingOf({ validation, holdOut, seed, settings }: TaskOptions): TaskDataOptions & ImageReading {
    return { ...this.reading, ...dataOptions(settings), validation, holdOut, seed };
  }

  /** How image files become feeds, and what the outputs mean; for programs that run the session themselves. */
  abstract processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor>;

  /** Answers about image files. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return filePredictor(model, await this.processor(model, options.settings), options);
  }
}
