/** @file Images and texts for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type PredictorOptions,
  type TaskFactory,
  type TaskOptions,
  settingsOf,
  type SettingTable,
} from '@onnx-lora/sdk/plugin';
import type { Processor, Task, TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentSetting } from '../../../augment/augment.ts';
import { dataSettings } from '../../../data/dataSettings.ts';
import { ImageTaskFactory } from '../../imageTaskFactory.ts';
import { imageText, type ImageTextOptions } from './imageText.ts';
import { zeroShotClassifier, type ZeroShotOptions } from './zeroShot.ts';

/** Makes `image-text` tasks, and zero-shot classifiers. */
export class ImageTextFactory extends ImageTaskFactory<ImageTextOptions & ZeroShotOptions> implements TaskFactory {
  readonly name = 'image-text';
  readonly description =
    'Which caption belongs to which image (CLIP, SigLIP); the data is a manifest of image and text.';
  readonly settings: SettingTable<ImageTextOptions & ZeroShotOptions> = settingsOf({
    augment: augmentSetting,
    ...dataSettings,
    labels: { kind: 'texts', description: 'To predict: what images may show, as cat,dog.' },
    template: {
      kind: 'text',
      description: 'To predict: the sentence around a label; "a photo of a {}." by default.',
    },
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return imageText(options.data, this.optionsOf(options));
  }

  async processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor> {
    const { labels, template } = this.settings.read(settings);
    if (!labels) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'Nothing says what the images may show. Name the labels: --set labels=cat,dog.',
      );
    }
    return zeroShotClassifier(model, { ...this.reading, labels, template });
  }
}
