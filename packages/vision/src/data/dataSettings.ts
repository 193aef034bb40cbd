/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on images. */

import { choice } from '@onnx-lora/sdk/tasks';
import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import type { ImageDataOptions } from './imageData.ts';

/** What the settings are called. */
export const dataSettings: readonly TaskSetting[] = [
  { name: 'imageColumn', kind: 'text', description: 'Column of a manifest with the path of the image.' },
  { name: 'labelColumn', kind: 'text', description: 'Column with the class.' },
  {
    name: 'labelColumns',
    kind: 'texts',
    description: 'Column that lists labels, or columns of 0 and 1 named after them.',
  },
  { name: 'valueColumns', kind: 'texts', description: 'Columns with numbers to predict.' },
  { name: 'textColumn', kind: 'text', description: 'Column with a caption.' },
  { name: 'maskColumn', kind: 'text', description: 'Column with the path of a mask.' },
  { name: 'xColumn', kind: 'text', description: 'With yColumn: columns of a point on the object, in pixels.' },
  { name: 'yColumn', kind: 'text', description: 'See xColumn.' },
  { name: 'pointsColumn', kind: 'text', description: 'Column with points on the object, as a JSON list of pairs.' },
  {
    name: 'boxColumns',
    kind: 'texts',
    description: 'Column with a box as four numbers, or four columns: left, upper, right and lower edge.',
  },
  {
    name: 'groupColumn',
    kind: 'text',
    description: 'Column of what is never divided between splits, such as a patient.',
  },
  { name: 'splitColumn', kind: 'text', description: 'Column with train, validation or test.' },
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
  const missingImages = choice('missingImages', settings['missingImages'], ['fail', 'skip']);
  const evalSplit = choice('evalSplit', settings['evalSplit'], ['validation', 'test']);
  const columns = {
    image: settings['imageColumn'],
    label: settings['labelColumn'],
    labels: settings['labelColumns'],
    values: settings['valueColumns'],
    text: settings['textColumn'],
    mask: settings['maskColumn'],
    x: settings['xColumn'],
    y: settings['yColumn'],
    points: settings['pointsColumn'],
    box: settings['boxColumns'],
    group: settings['groupColumn'],
    split: settings['splitColumn'],
  };
  const given = Object.entries(columns).filter(([, column]) => column !== undefined);
  return {
    ...(given.length > 0 ? { columns: Object.fromEntries(given) } : {}),
    ...(typeof imageFolder === 'string' ? { imageFolder } : {}),
    ...(evalSplit === undefined ? {} : { evalSplit }),
    ...(missingImages === undefined ? {} : { missingImages }),
  };
}
