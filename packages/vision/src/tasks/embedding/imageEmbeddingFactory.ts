/** @file Embeddings for the command line. */

import { answeringTask, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  type SettingRows,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import type { FeatureOptions } from './features.ts';
import { imageEmbedder } from './imageEmbedder.ts';

/** Settings of every task that works on features. */
export const featureSettings: SettingRows<FeatureOptions> = {
  output: {
    kind: 'text',
    description: 'The graph output that is the feature; before-head is what a classifier reads.',
  },
  pooling: {
    kind: 'choice',
    of: ['cls', 'mean', 'gem'],
    description: 'cls, mean or gem, of an output with several vectors per image.',
  },
};

/** The task `image-embedding`: it answers with embeddings, and has nothing to learn. */
export class ImageEmbeddingFactory extends ImageTaskFactory<FeatureOptions> implements TaskFactory {
  readonly name = 'image-embedding';
  readonly description = 'One vector per image, from any vision model; to predict with, not to train.';
  readonly settings: SettingTable<FeatureOptions> = settingsOf(featureSettings);

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answeringTask(this.name, 'To train or measure embeddings on labelled images, take the task image-retrieval');
  }

  processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor> {
    return imageEmbedder(model, { ...this.settings.read(settings), ...this.reading });
  }
}
