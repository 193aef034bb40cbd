/** @file Metric learning for the command line. */

import type { PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { choice, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentationsFrom, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { featureSettings, readFeatureSettings } from './featureSettings.ts';
import { imageEmbedder } from './imageEmbedder.ts';
import { imageRetrieval } from './imageRetrieval.ts';

/** Makes `image-retrieval` tasks, and predictors of embeddings. */
export class ImageRetrievalFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'image-retrieval';
  readonly description =
    'Embeddings in which images of one label lie together; the data is as for image-classification.';
  readonly settings: readonly TaskSetting[] = [
    ...featureSettings,
    { name: 'loss', kind: 'text', description: 'contrastive (default), triplet or info-nce.' },
    { name: 'temperature', kind: 'number', description: 'What cosines are divided by; 0.1 by default.' },
    { name: 'margin', kind: 'number', description: 'Of triplets; 0.2 by default.' },
    {
      name: 'perGroup',
      kind: 'number',
      description: 'Images of one label that are trained on together; 2 by default.',
    },
    augmentSetting,
    ...dataSettings,
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { data, settings = {} } = options;
    const { loss, temperature, margin, perGroup } = settings;
    const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
    return imageRetrieval(data, {
      ...readFeatureSettings(settings),
      ...this.readingOf(options),
      loss: choice('loss', loss, ['contrastive', 'triplet', 'info-nce']),
      temperature: number(temperature),
      margin: number(margin),
      perGroup: number(perGroup),
      augment: augmentationsFrom(settings),
    });
  }

  processor(model: TaskModel, settings: PredictorOptions['settings']): Promise<Processor> {
    return imageEmbedder(model, { ...readFeatureSettings(settings), ...this.reading });
  }
}
