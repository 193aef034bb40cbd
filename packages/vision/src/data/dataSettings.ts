/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on images. */

import { choice } from '@onnx-lora/sdk/tasks';
import { columnOptions, columnSettings, defined, evalSplitSetting } from '@onnx-lora/sdk/data';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { type ColumnNames, imageColumns } from './columns.ts';
import type { ImageDataOptions } from './imageRecord.ts';

/** What the settings are called. */
export const dataSettings: readonly TaskSetting[] = [
  ...columnSettings(imageColumns),
  evalSplitSetting,
  {
    name: 'imageFolder',
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  { name: 'missingImages', kind: 'text', description: 'fail (default) or skip: lines whose image does not exist.' },
];

/**
 * The options that settings stand for.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a word that is none of the choices
 */
export function dataOptions(
  settings: TaskOptions['settings'] = {},
): Pick<ImageDataOptions, 'columns' | 'evalSplit' | 'imageFolder' | 'missingImages'> {
  const { imageFolder } = settings;
  return {
    ...columnOptions<ColumnNames>(imageColumns, settings),
    ...defined({
      imageFolder: typeof imageFolder === 'string' ? imageFolder : undefined,
      evalSplit: choice('evalSplit', settings['evalSplit'], ['validation', 'test']),
      missingImages: choice('missingImages', settings['missingImages'], ['fail', 'skip']),
    }),
  };
}
