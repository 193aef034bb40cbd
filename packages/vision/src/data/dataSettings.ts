/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on images. */

import { columnSettings, evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { type ColumnNames, imageColumns } from './columns.ts';
import type { ImageDataOptions } from './imageRecord.ts';

/** Settings by the options that they give. */
export const dataSettings: SettingRows<ImageDataOptions> = {
  columns: columnSettings<ColumnNames>(imageColumns),
  evalSplit: evalSplitSetting,
  imageFolder: {
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  missingImages: {
    kind: 'choice',
    of: ['fail', 'skip'],
    description: 'fail (default) or skip: lines whose image does not exist.',
  },
};
