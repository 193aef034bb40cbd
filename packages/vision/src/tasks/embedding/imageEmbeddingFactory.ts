/** @file Embeddings for the command line. */

import { answersOnly, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { featureSettings, readFeatureSettings } from './featureSettings.ts';
import { imageEmbedder } from './imageEmbedder.ts';

/** The task `image-embedding`: it answers with embeddings, and has nothing to learn. */
export class ImageEmbeddingFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'image-embedding';
  readonly description = 'One vector per image, from any vision model; to predict with, not to train.';
  readonly settings: readonly TaskSetting[] = featureSettings;

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answersOnly(this.name, 'To train or measure embeddings on labelled images, take the task image-retrieval.');
  }

  processor(model: TaskModel, settings: PredictorOptions['settings']): Promise<Processor> {
    return imageEmbedder(model, {
      ...readFeatureSettings(settings),
      ...this.reading,
    });
  }
}
