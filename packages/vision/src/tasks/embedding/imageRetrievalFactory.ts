/** @file Metric learning for the command line. */

import {
  type PredictorOptions,
  type TaskFactory,
  type TaskOptions,
  settingsOf,
  type SettingTable,
} from '@onnx-lora/sdk/plugin';
import { type Processor, type Task, type TaskModel, retrievalSettings } from '@onnx-lora/sdk/tasks';
import { augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { featureSettings } from './imageEmbeddingFactory.ts';
import { imageEmbedder } from './imageEmbedder.ts';
import { imageRetrieval, type ImageRetrievalOptions } from './imageRetrieval.ts';

/** Makes `image-retrieval` tasks, and predictors of embeddings. */
export class ImageRetrievalFactory extends ImageTaskFactory<ImageRetrievalOptions> implements TaskFactory {
  readonly name = 'image-retrieval';
  readonly description =
    'Embeddings in which images of one label lie together; the data is as for image-classification.';
  readonly settings: SettingTable<ImageRetrievalOptions> = settingsOf({
    ...featureSettings,
    ...retrievalSettings('Images of one label'),
    augment: augmentSetting,
    ...dataSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return imageRetrieval(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor> {
    const { output, pooling } = this.settings.read(settings);
    return imageEmbedder(model, { output, pooling, ...this.reading });
  }
}
