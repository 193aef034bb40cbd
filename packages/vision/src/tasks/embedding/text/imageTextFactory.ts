/** @file Images and texts for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import type { Processor, Task, TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentationsFrom, augmentSetting } from '../../../augment/augment.ts';
import { dataSettings } from '../../../data/dataSettings.ts';
import { ImageTaskFactory } from '../../imageTaskFactory.ts';
import { imageText } from './imageText.ts';
import { zeroShotClassifier } from './zeroShot.ts';

/** Makes `image-text` tasks, and zero-shot classifiers. */
export class ImageTextFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'image-text';
  readonly description =
    'Which caption belongs to which image (CLIP, SigLIP); the data is a manifest of image and text.';
  readonly settings: readonly TaskSetting[] = [
    augmentSetting,
    ...dataSettings,
    { name: 'labels', kind: 'texts', description: 'To predict: what images may show, as cat,dog.' },
    {
      name: 'template',
      kind: 'text',
      description: 'To predict: the sentence around a label; "a photo of a {}." by default.',
    },
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return imageText(options.data, { ...this.readingOf(options), augment: augmentationsFrom(options.settings) });
  }

  async processor(model: TaskModel, settings: PredictorOptions['settings'] = {}): Promise<Processor> {
    const { labels, template } = settings;
    if (typeof labels !== 'object') {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'Nothing says what the images may show. Name the labels: --set labels=cat,dog.',
      );
    }
    return zeroShotClassifier(model, {
      ...this.reading,
      labels,
      ...(template === undefined ? {} : { template: String(template) }),
    });
  }
}
