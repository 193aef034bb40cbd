/** @file Image classification for the command line: the task by name, and answers about files without labels. */

import { choice, type OutputProcessor, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { imageClassification } from './imageTasks.ts';
import { imageProcessor, type ImageProcessorOptions } from './imageProcessor.ts';
import { imageOptions, imageSettings } from './settings.ts';

/** Makes `image-classification` tasks and predictors. */
export class ImageClassificationFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'image-classification';
  readonly description =
    'One class per image; the data is a folder with a folder of images for each class, or a manifest.';
  readonly settings: readonly TaskSetting[] = [
    ...imageSettings,
    { name: 'labelSmoothing', kind: 'number', description: 'How much of a label is spread over all classes, 0 to 1.' },
    {
      name: 'classWeights',
      kind: 'text',
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    { name: 'mixUp', kind: 'number', description: 'Blends images in pairs: alpha of MixUp, such as 0.2.' },
    { name: 'cutMix', kind: 'number', description: 'Puts parts of images into others: alpha of CutMix, such as 1.' },
    {
      name: 'calibrate',
      kind: 'flag',
      description: 'Fits a temperature on held-out images, for probabilities to trust.',
    },
    {
      name: 'baselines',
      kind: 'flag',
      description: 'Shows k nearest neighbours and a linear probe on frozen features beside the adapter.',
    },
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { labelSmoothing, classWeights, mixUp, cutMix, calibrate, baselines } = options.settings ?? {};
    return imageClassification(options.data, {
      ...this.readingOf(options),
      ...imageOptions(options),
      ...(typeof labelSmoothing === 'number' ? { labelSmoothing } : {}),
      classWeights: choice('classWeights', classWeights, ['balanced', 'effective']),
      ...(typeof mixUp === 'number' ? { mixUp } : {}),
      ...(typeof cutMix === 'number' ? { cutMix } : {}),
      ...(calibrate === true ? { calibrate } : {}),
      ...(baselines === true ? { baselines } : {}),
    });
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
