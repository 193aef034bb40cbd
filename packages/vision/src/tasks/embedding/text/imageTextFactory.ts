/** @file Images and texts for the command line. */

import {
  OnnxLoraError,
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
import { augmentSetting, readAugmentations } from '../featureSettings.ts';
import { imageText } from './imageText.ts';
import { zeroShotClassifier } from './zeroShot.ts';

/** Makes `image-text` tasks, and zero-shot classifiers. */
export class ImageTextFactory implements TaskFactory {
  readonly name = 'image-text';
  readonly description =
    'Which caption belongs to which image (CLIP, SigLIP); the data is a manifest of image and text.';
  readonly settings: readonly TaskSetting[] = [
    augmentSetting,
    ...dataSettings,
    { name: 'labels', kind: 'texts', description: 'to predict: what images may show, as cat,dog' },
    {
      name: 'template',
      kind: 'text',
      description: 'to predict: the sentence around a label; "a photo of a {}." by default',
    },
  ];
  readonly #reading: { readonly decoder: ImageDecoder; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.#reading = { decoder, preprocessors };
  }

  create({ data, validation, seed, settings }: TaskOptions): Task {
    return imageText(data, {
      ...this.#reading,
      ...dataOptions(settings),
      validation,
      seed,
      augment: readAugmentations(settings),
    });
  }

  async predictor(model: TaskModel, { settings = {} }: PredictorOptions = {}): Promise<Predictor> {
    const { labels, template } = settings;
    if (typeof labels !== 'object') {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'Nothing says what the images may show. Name the labels: --set labels=cat,dog.',
      );
    }
    return zeroShotClassifier(model, {
      ...this.#reading,
      labels,
      ...(template === undefined ? {} : { template: String(template) }),
    });
  }
}
