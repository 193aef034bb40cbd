/** @file Promptable segmentation for the command line: the task by name, and masks of files without labels. */

import {
  type PredictorOptions,
  type TaskFactory,
  type TaskOptions,
  settingsOf,
  type SettingTable,
} from '@onnx-lora/sdk/plugin';
import { type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { augmentSetting } from '../../augment/augment.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { dataSettings } from '../../data/dataSettings.ts';
import type { Box, Point } from '../../data/imageRecord.ts';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { promptableSegmentation, type PromptableSegmentationOptions } from './promptableSegmentation.ts';
import { promptableSegmenter, type PromptableSegmenterOptions } from './promptableSegmenter.ts';

const numbers = { kind: 'number', whole: true, min: 0 } as const;

/** Makes `promptable-segmentation` tasks and predictors. */
export class PromptableSegmentationFactory
  extends ImageTaskFactory<PromptableSegmentationOptions & PromptableSegmenterOptions>
  implements TaskFactory
{
  readonly name = 'promptable-segmentation';
  readonly description =
    'The mask of what a point or a box means (SAM); the data is images with masks, or a COCO file of outlined objects.';
  readonly settings: SettingTable<PromptableSegmentationOptions & PromptableSegmenterOptions> = settingsOf({
    masks: {
      kind: 'choice',
      of: ['several', 'one'],
      description: 'several (default): one per meaning of a prompt; one: a single mask.',
    },
    loss: {
      kind: 'choice',
      of: ['sam', 'bce'],
      to: (loss) => (loss === 'bce' ? { bce: 1 } : {}),
      description: 'sam (default): focal, Dice and IoU; bce: cross-entropy, Dice and IoU.',
    },
    prompts: {
      points: { name: 'promptPoints', ...numbers, description: 'Points on the object in training; 1 by default.' },
      negativePoints: { ...numbers, description: 'Points beside the object in training; 0 by default.' },
      box: { name: 'promptBox', kind: 'flag', description: 'Prompt with a box in training.' },
    },
    objectsPerImage: {
      ...numbers,
      min: 1,
      description: 'Objects of an image asked for at once; 1 by default.',
    },
    augment: augmentSetting,
    prompt: {
      points: {
        kind: 'text',
        to: (text) => listOf(text, (point) => numbersIn<Point>(point, 2)),
        must: 'points of 2 numbers, such as 40,30;90,80',
        description: 'To predict: points of one object in pixels, x,y;x,y.',
      },
      labels: {
        kind: 'text',
        to: (text) => listOf(text, (label) => signs.get(label.trim())),
        must: '1 or 0 for each point, such as 1;0',
        description: 'For each point 1 (on the object) or 0 (not on it); all 1 by default: 1;0.',
      },
      box: {
        kind: 'text',
        to: (text) => numbersIn<Box>(text, 4),
        must: '4 numbers with commas between, such as 40,30,90,80',
        description: 'To predict: a box around the object in pixels, left,upper,right,lower.',
      },
    },
    ...dataSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return promptableSegmentation(options.data, this.optionsOf(options));
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` where settings say no prompt */
  async processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor> {
    const { prompt, masks } = this.settings.read(settings);
    if (!prompt?.points && !prompt?.box) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'Say which object is meant: --set points=x,y with a point on it, or --set box=left,upper,right,lower.',
      );
    }
    return promptableSegmenter(model, { prompt, masks, ...this.reading });
  }
}

const signs: ReadonlyMap<string, 0 | 1> = new Map([
  ['0', 0],
  ['1', 1],
]);

/** What stands between semicolons; undefined where one of them is none. */
function listOf<Item>(text: string, read: (part: string) => Item | undefined): readonly Item[] | undefined {
  const items = text.split(';').map(read);
  return items.every((item) => item !== undefined) ? items : undefined;
}

function numbersIn<Numbers extends Point | Box>(text: string, count: Numbers['length']): Numbers | undefined {
  const found = text.split(',').map((each) => (each.trim() === '' ? NaN : Number(each)));
  return found.length === count && found.every(Number.isFinite) ? (found as unknown as Numbers) : undefined;
}
