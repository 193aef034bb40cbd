/** @file Semantic segmentation for the command line: the task by name, and class maps of files without labels. */

import {
  OnnxLoraError,
  type Predictor,
  type PreprocessorFactory,
  type Task,
  type TaskFactory,
  type TaskModel,
  type TaskOptions,
  type TaskSetting,
  type TaskSettingValue,
} from '@onnx-lora/sdk';
import type { Augmentation } from '../../augment/augment.ts';
import { augmentationPreset, augmentSetting } from '../../augment/augmentSetting.ts';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { semanticSegmentation, type SemanticSegmentationOptions } from './semanticSegmentation.ts';
import { semanticSegmenter } from './semanticSegmenter.ts';

/** Makes `semantic-segmentation` tasks and predictors. */
export class SemanticSegmentationFactory implements TaskFactory {
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
  readonly #decoder: ImageDecoder;
  readonly #preprocessors: readonly PreprocessorFactory[];

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.#decoder = decoder;
    this.#preprocessors = preprocessors;
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense */
  create({ data, validation, holdOut, seed, settings = {} }: TaskOptions): Task {
    return semanticSegmentation(data, {
      ...optionsOf(settings),
      ...dataOptions(settings),
      validation,
      holdOut,
      seed,
      decoder: this.#decoder,
      preprocessors: this.#preprocessors,
    });
  }

  predictor(model: TaskModel): Promise<Predictor> {
    return semanticSegmenter(model, { decoder: this.#decoder, preprocessors: this.#preprocessors });
  }
}

/** Values are of the kinds that the settings have. */
function optionsOf(settings: Readonly<Record<string, TaskSettingValue>>): SemanticSegmentationOptions {
  const { lossSize, classWeights } = settings as { lossSize?: string; classWeights?: readonly string[] };
  if (lossSize !== undefined && lossSize !== 'labels' && lossSize !== 'logits') {
    throw wrong(`lossSize is "labels" or "logits", but it is "${lossSize}"`);
  }
  const weights = classWeights?.map(Number);
  if (weights?.some((weight) => !(weight >= 0))) throw wrong('classWeights are numbers of at least 0');
  const { augment } = settings as { augment?: string };
  const preset: readonly Augmentation[] | undefined = augment === undefined ? undefined : augmentationPreset(augment);
  const { labels, dice, labelSmoothing } = settings as Pick<
    SemanticSegmentationOptions,
    'labels' | 'dice' | 'labelSmoothing'
  >;
  return {
    labels,
    dice,
    labelSmoothing,
    lossSize,
    classWeights: weights,
    augment: preset,
  };
}

function wrong(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', `${message}. Correct --set.`);
}
