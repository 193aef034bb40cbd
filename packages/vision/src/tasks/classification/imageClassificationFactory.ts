/** @file Image classification for the command line: the task by name, and answers about files without labels. */

import {
  type OutputProcessor,
  type Processor,
  type Task,
  type TaskModel,
  classifierSettings,
} from '@onnx-lora/sdk/tasks';
import { type TaskFactory, type TaskOptions, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory, imageSettings } from '../imageTaskFactory.ts';
import { imageClassification, type ImageClassificationOptions } from './imageTasks.ts';
import { imageProcessor, type ImageProcessorOptions } from './imageProcessor.ts';

/** Makes `image-classification` tasks and predictors. */
export class ImageClassificationFactory extends ImageTaskFactory<ImageClassificationOptions> implements TaskFactory {
  readonly name = 'image-classification';
  readonly description =
    'One class per image; the data is a folder with a folder of images for each class, or a manifest.';
  readonly settings: SettingTable<ImageClassificationOptions> = settingsOf({
    ...imageSettings,
    ...classifierSettings('images'),
    mixUp: { kind: 'number', above: 0, description: 'Blends images in pairs: alpha of MixUp, such as 0.2.' },
    cutMix: { kind: 'number', above: 0, description: 'Puts parts of images into others: alpha of CutMix, such as 1.' },
    baselines: {
      kind: 'flag',
      description: 'Shows k nearest neighbours and a linear probe on frozen features beside the adapter.',
    },
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return imageClassification(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return imageClassifier(model, this.reading);
  }
}

/**
 * Turns image files into what the model is fed, and its outputs into labels. Needs `preprocessor_config.json` in the
 * model's folder. An adapter with labels or a head of its own goes into the model first: `modelFor(model, adapter)`.
 *
 * @example
 * ```ts
 * const classifier = await imageClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['a.png', 'b.png']), { adapter: 'turned' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no image classifier; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export function imageClassifier(model: TaskModel, options: ImageProcessorOptions = {}): Promise<OutputProcessor> {
  return imageProcessor(model, options, 'classes');
}
