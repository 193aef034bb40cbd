/** @file Reads the data of a task: a part may be held out even where neither data nor user say so. */

import { fairHoldOut } from '@onnx-lora/sdk/data';
import type { ImageData, ImageDataOptions, ImageSource } from './imageData.ts';
import type { ImageRecord } from './imageRecord.ts';
import { readImageData } from './readImageData.ts';
import { splitImages } from './splitImages.ts';

/** How a task's data are read. */
export interface TaskDataOptions extends ImageDataOptions {
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing; none by default. */
  readonly holdOut?: number | undefined;
}

/**
 * As {@link readImageData}, with two more ways to hold data out: `validation` 0 holds nothing out that the data does not, and
 * `holdOut` is the fraction where nobody says anything. Of data so small that twice as much would have to go, nothing is held
 * out by it, nor where what it would hold out cannot be measured.
 *
 * @throws OnnxLoraError as {@link readImageData}
 */
export async function readTaskData(
  source: ImageSource,
  { holdOut, ...options }: TaskDataOptions = {},
  canMeasure: (held: readonly ImageRecord[]) => boolean = () => true,
): Promise<ImageData> {
  const { validation, seed = 0 } = options;
  const data = await readImageData(source, { ...options, validation: validation === 0 ? undefined : validation });
  if (validation !== undefined || holdOut === undefined || data.validation) return data;
  const split = fairHoldOut(splitImages(data.train, holdOut, seed), holdOut, canMeasure);
  return split ? { ...data, train: split.kept, validation: split.held } : data;
}
