/** @file Settings that the tasks with one answer per image share on the command line (`--set name=value`). */

import { didYouMean, OnnxLoraError, type TaskOptions, type TaskSetting } from '@onnx-lora/sdk';
import { augmentationPresets } from '../../augment/presets.ts';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import type { ImageDecoder } from '../../image/image.ts';
import type { PreprocessorFactory } from '@onnx-lora/sdk';
import type { ImageTaskOptions } from './imageTask.ts';

/** What the settings are called. */
export const imageSettings: readonly TaskSetting[] = [
  {
    name: 'augment',
    kind: 'text',
    description: `What is done at random to images that are trained on: ${[...augmentationPresets.keys()].join(', ')} (default none).`,
  },
  {
    name: 'head',
    kind: 'text',
    description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
  },
  ...dataSettings,
];

/** What a task is made with, from the command line's words. */
export function imageOptions(
  { validation, seed, holdOut, settings = {} }: TaskOptions,
  made: { readonly decoder: ImageDecoder; readonly preprocessors: readonly PreprocessorFactory[] },
): ImageTaskOptions {
  const { augment, head } = settings;
  const names = [...augmentationPresets.keys()];
  return {
    ...made,
    ...dataOptions(settings),
    seed,
    ...(validation === undefined ? {} : { validation }),
    ...(holdOut === undefined ? {} : { holdOut }),
    ...(augment === undefined ? {} : { augment: augmentationPresets.get(choice('augment', augment, names))! }),
    ...(head === undefined ? {} : { head: choice('head', head, ['auto', 'new', 'keep']) }),
  };
}

/**
 * One of several words.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for another
 */
export function choice<Word extends string>(name: string, given: unknown, words: readonly Word[]): Word {
  const found = words.find((word) => word === given);
  if (found !== undefined) return found;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting ${name} is ${JSON.stringify(given)}.${typeof given === 'string' ? didYouMean(given, [...words]) : ''} It can be ${words.join(', ')}.`,
  );
}
