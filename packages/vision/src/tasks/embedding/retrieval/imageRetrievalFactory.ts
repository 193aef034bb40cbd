/** @file Metric learning for the command line. */

import {
  type Predictor,
  type PredictorOptions,
  type PreprocessorFactory,
  type Task,
  type TaskFactory,
  type TaskModel,
  type TaskOptions,
  type TaskSetting,
} from '@onnx-lora/sdk';
import { dataOptions, dataSettings } from '../../../data/dataSettings.ts';
import type { ImageDecoder } from '../../../image/image.ts';
import { augmentSetting, featureSettings, readAugmentations, readFeatureSettings } from '../featureSettings.ts';
import { imageEmbedder } from '../imageEmbedder.ts';
import { imageRetrieval, type RetrievalLoss } from './imageRetrieval.ts';

/** Makes `image-retrieval` tasks, and predictors of embeddings. */
export class ImageRetrievalFactory implements TaskFactory {
  readonly name = 'image-retrieval';
  readonly description =
    'Embeddings in which images of one label lie together; the data is as for image-classification.';
  readonly settings: readonly TaskSetting[] = [
    ...featureSettings,
    { name: 'loss', kind: 'text', description: 'contrastive (default), triplet or info-nce' },
    { name: 'temperature', kind: 'number', description: 'what cosines are divided by; 0.1 by default' },
    { name: 'margin', kind: 'number', description: 'of triplets; 0.2 by default' },
    { name: 'perGroup', kind: 'number', description: 'images of one label that are trained on together; 2 by default' },
    augmentSetting,
    ...dataSettings,
  ];
  readonly #reading: { readonly decoder: ImageDecoder; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.#reading = { decoder, preprocessors };
  }

  create({ data, validation, seed, settings = {} }: TaskOptions): Task {
    const { loss, temperature, margin, perGroup } = settings;
    const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
    return imageRetrieval(data, {
      ...readFeatureSettings(settings),
      ...this.#reading,
      ...dataOptions(settings),
      validation,
      seed,
      // If there is no loss of this name, the task says so.
      loss: loss as RetrievalLoss | undefined,
      temperature: number(temperature),
      margin: number(margin),
      perGroup: number(perGroup),
      augment: readAugmentations(settings),
    });
  }

  predictor(model: TaskModel, { settings }: PredictorOptions = {}): Promise<Predictor> {
    return imageEmbedder(model, { ...readFeatureSettings(settings), ...this.#reading });
  }
}
