/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on images. */

import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRow, SettingRows } from '@onnx-lora/sdk/plugin';
import type { ImageDataOptions } from './imageData.ts';

function column(name: string, description: string): SettingRow<string> {
  return { name, kind: 'text', description };
}

function columns(name: string, description: string): SettingRow<readonly string[]> {
  return { name, kind: 'texts', description };
}

/** Settings by the options that they give. */
export const dataSettings: SettingRows<ImageDataOptions> = {
  columns: {
    image: column('imageColumn', 'Column of a manifest with the path of the image.'),
    label: column('labelColumn', 'Column with the class.'),
    labels: columns('labelColumns', 'Column that lists labels, or columns of 0 and 1 named after them.'),
    values: columns('valueColumns', 'Columns with numbers to predict.'),
    text: column('textColumn', 'Column with a caption.'),
    mask: column('maskColumn', 'Column with the path of a mask.'),
    x: column('xColumn', 'With yColumn: columns of a point on the object, in pixels.'),
    y: column('yColumn', 'See xColumn.'),
    points: column('pointsColumn', 'Column with points on the object, as a JSON list of pairs.'),
    box: columns(
      'boxColumns',
      'Column with a box as four numbers, or four columns: left, upper, right and lower edge.',
    ),
    group: column('groupColumn', 'Column of what is never divided between splits, such as a patient.'),
    split: column('splitColumn', 'Column with train, validation or test.'),
  },
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
