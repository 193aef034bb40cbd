/** @file Semantic segmentation for the command line: the task by name, and class maps of files without labels. */

import { type TaskFactory, type TaskOptions, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { semanticSegmentation, type SemanticSegmentationOptions } from './semanticSegmentation.ts';
import { semanticSegmenter } from './semanticSegmenter.ts';

/** Makes `semantic-segmentation` tasks and predictors. */
export class SemanticSegmentationFactory extends ImageTaskFactory<SemanticSegmentationOptions> implements TaskFactory {
  readonly name = 'semantic-segmentation';
  readonly description =
    'A class per pixel; the data is a folder of images beside a folder of masks, or a COCO file of outlined objects.';
  readonly settings: SettingTable<SemanticSegmentationOptions> = settingsOf({
    labels: { kind: 'texts', description: 'Names of all classes, in the order of their numbers in the masks.' },
    augment: augmentSetting,
    lossSize: {
      kind: 'choice',
      of: ['labels', 'logits'],
      description: 'Where scores and masks are compared: labels (default) or logits.',
    },
    dice: { kind: 'number', min: 0, description: 'Weight of the Dice loss beside the cross-entropy; 0 by default.' },
    classWeights: {
      kind: 'texts',
      to: weightsIn,
      must: 'numbers of at least 0',
      description: 'How much each class counts, in the order of the labels.',
    },
    labelSmoothing: {
      kind: 'number',
      min: 0,
      max: 1,
      description: 'Share of a label that is spread over all classes.',
    },
    ...dataSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return semanticSegmentation(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return semanticSegmenter(model, this.reading);
  }
}

function weightsIn(texts: readonly string[]): readonly number[] | undefined {
  const weights = texts.map(Number);
  return weights.every((weight) => weight >= 0) ? weights : undefined;
}
