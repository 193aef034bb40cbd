/** @file Promptable segmentation for the command line: the task by name, and masks of files without labels. */

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
import { augmentationPreset, augmentSetting } from '../../augment/augmentSetting.ts';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { promptableSegmentation } from './promptableSegmentation.ts';
import { promptableSegmenter } from './promptableSegmenter.ts';
import { promptFrom, promptSettings } from './promptSettings.ts';
import type { MaskChoice } from './samPorts.ts';

/** Settings of the training, in their kinds. */
interface TrainingSettings {
  readonly masks?: string;
  readonly loss?: string;
  readonly promptPoints?: number;
  readonly negativePoints?: number;
  readonly promptBox?: boolean;
  readonly objectsPerImage?: number;
  readonly augment?: string;
}

/** Makes `promptable-segmentation` tasks and predictors. */
export class PromptableSegmentationFactory implements TaskFactory {
  readonly name = 'promptable-segmentation';
  readonly description =
    'The mask of what a point or a box means (SAM); the data is images with masks, or a COCO file of outlined objects.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'masks', kind: 'text', description: 'several (default): one per meaning of a prompt; one: a single mask.' },
    {
      name: 'loss',
      kind: 'text',
      description: 'sam (default): focal, Dice and IoU; bce: cross-entropy, Dice and IoU.',
    },
    { name: 'promptPoints', kind: 'number', description: 'Points on the object in training; 1 by default.' },
    { name: 'negativePoints', kind: 'number', description: 'Points beside the object in training; 0 by default.' },
    { name: 'promptBox', kind: 'flag', description: 'Prompt with a box in training.' },
    { name: 'objectsPerImage', kind: 'number', description: 'Objects of an image asked for at once; 1 by default.' },
    augmentSetting,
    ...promptSettings,
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
  create({ data, validation, seed, settings = {} }: TaskOptions): Task {
    const { masks, loss, promptPoints, negativePoints, promptBox, objectsPerImage, augment } =
      settings as TrainingSettings;
    if (loss !== undefined && loss !== 'sam' && loss !== 'bce') throw wrong('loss', 'sam or bce', loss);
    return promptableSegmentation(data, {
      ...dataOptions(settings),
      validation,
      seed,
      ...maskChoice(masks),
      ...(loss === 'bce' && { loss: { bce: 1 } }),
      prompts: {
        ...(promptPoints === undefined ? {} : { points: promptPoints }),
        ...(negativePoints === undefined ? {} : { negativePoints }),
        ...(promptBox === undefined ? {} : { box: promptBox }),
      },
      ...(objectsPerImage === undefined ? {} : { objectsPerImage }),
      ...(augment === undefined ? {} : { augment: augmentationPreset(augment) }),
      decoder: this.#decoder,
      preprocessors: this.#preprocessors,
    });
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` where settings say no prompt */
  async predictor(model: TaskModel, { settings = {} }: PredictorOptions = {}): Promise<Predictor> {
    return promptableSegmenter(model, {
      prompt: promptFrom(settings),
      ...maskChoice((settings as TrainingSettings).masks),
      decoder: this.#decoder,
      preprocessors: this.#preprocessors,
    });
  }
}

function maskChoice(masks: string | undefined): { readonly masks?: MaskChoice } {
  if (masks === undefined) return {};
  if (masks === 'several' || masks === 'one') return { masks };
  throw wrong('masks', 'several or one', masks);
}

function wrong(name: string, wanted: string, found: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', `--set ${name} is ${wanted}, but it is "${found}".`);
}
