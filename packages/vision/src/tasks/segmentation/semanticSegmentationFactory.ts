/** @file Semantic segmentation for the command line: the task by name, and class maps of files without labels. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskFactory, TaskOptions, TaskSetting, TaskSettingValue } from '@onnx-lora/sdk/plugin';
import { choice, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentationsFrom, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { semanticSegmentation, type SemanticSegmentationOptions } from './semanticSegmentation.ts';
import { semanticSegmenter } from './semanticSegmenter.ts';

/** Makes `semantic-segmentation` tasks and predictors. */
export class SemanticSegmentationFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'semantic-segmentation';
  readonly description =
    'A class per pixel; the data is a folder of images beside a folder of masks, or a COCO file of outlined objects.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'labels', kind: 'texts', description: 'Names of all classes, in the order of their numbers in the masks.' },
    augmentSetting,
    { name: 'lossSize', kind: 'text', description: 'Where scores and masks are compared: labels (default) or logits.' },
    { name: 'dice', kind: 'number', description: 'Weight of the Dice loss beside the cross-entropy; 0 by default.' },
    { name: 'classWeights', kind: 'texts', description: 'How much each class counts, in the order of the labels.' },
    { name: 'labelSmoothing', kind: 'number', description: 'Share of a label that is spread over all classes.' },
    ...dataSettings,
  ];

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense */
  create(options: TaskOptions): Task {
    return semanticSegmentation(options.data, {
      ...this.readingOf(options),
      ...optionsOf(options.settings),
    });
  }

  processor(model: TaskModel): Promise<Processor> {
    return semanticSegmenter(model, this.reading);
  }
}

/** Values are of the kinds that the settings have. */
function optionsOf(settings: Readonly<Record<string, TaskSettingValue>> = {}): SemanticSegmentationOptions {
  const { classWeights } = settings as { classWeights?: readonly string[] };
  const weights = classWeights?.map(Number);
  if (weights?.some((weight) => !(weight >= 0))) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The setting classWeights is ${classWeights!.join(',')}. It must be numbers of at least 0.`,
    );
  }
  const { labels, dice, labelSmoothing } = settings as Pick<
    SemanticSegmentationOptions,
    'labels' | 'dice' | 'labelSmoothing'
  >;
  return {
    labels,
    dice,
    labelSmoothing,
    lossSize: choice('lossSize', settings['lossSize'], ['labels', 'logits']),
    classWeights: weights,
    augment: augmentationsFrom(settings),
  };
}
