/** @file Refuses settings of augmentations that make no sense. */

import { badSetting } from '@onnx-lora/sdk/data';
import type { Color } from './affine.ts';

export { badSetting, checkRange, checkShare, checkWhole, type Range } from '@onnx-lora/sdk/data';

/** `color`, three levels from 0 to 255. */
export function checkColor(name: string, color: Color): Color {
  if (color.length === 3 && color.every((level) => Number.isInteger(level) && level >= 0 && level <= 255)) return color;
  throw badSetting(name, 'three whole numbers from 0 to 255, for red, green and blue', color);
}
