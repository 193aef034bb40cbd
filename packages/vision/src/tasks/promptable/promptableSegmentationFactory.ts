/** @file Promptable segmentation for the command line: the task by name, and masks of files without labels. */

import type { PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { choice, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentationsFrom, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { promptableSegmentation } from './promptableSegmentation.ts';
import { promptableSegmenter } from './promptableSegmenter.ts';
import { promptFrom, promptSettings } from './promptSettings.ts';
import type { MaskChoice } from './samPorts.ts';

/** Makes `promptable-segmentation` tasks and predictors. */
export class PromptableSegmentationFactory extends ImageTaskFactory implements TaskFactory {
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

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense */
  create(options: TaskOptions): Task {
    const { data, settings = {} } = options;
    const { promptPoints, negativePoints, promptBox, objectsPerImage } = settings;
    return promptableSegmentation(data, {
      ...this.readingOf(options),
      masks: maskChoice(settings),
      ...(choice('loss', settings['loss'], ['sam', 'bce']) === 'bce' && { loss: { bce: 1 } }),
      prompts: {
        ...(typeof promptPoints === 'number' && { points: promptPoints }),
        ...(typeof negativePoints === 'number' && { negativePoints }),
        ...(typeof promptBox === 'boolean' && { box: promptBox }),
      },
      ...(typeof objectsPerImage === 'number' && { objectsPerImage }),
      augment: augmentationsFrom(settings),
    });
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` where settings say no prompt */
  async processor(model: TaskModel, settings: PredictorOptions['settings'] = {}): Promise<Processor> {
    return promptableSegmenter(model, {
      prompt: promptFrom(settings),
      masks: maskChoice(settings),
      ...this.reading,
    });
  }
}

function maskChoice({ masks }: NonNullable<TaskOptions['settings']>): MaskChoice | undefined {
  return choice('masks', masks, ['several', 'one']);
}
