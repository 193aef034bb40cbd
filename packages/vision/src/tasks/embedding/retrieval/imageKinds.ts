/** @file Images with the numbers of what they show, for metric learning. */

import { atPlace, contentKey, drawSeed, type KindItems, nameOfRecord, type Tensor } from '@onnx-lora/sdk';
import type { Augmentation } from '../../../augment/augment.ts';
import type { ImageRecord } from '../../../data/imageRecord.ts';
import type { ImageLoader } from '../../../preprocess/imageRequest.ts';

/** What is known of the images, and how they are loaded. */
export interface ImageKindsRequest {
  readonly records: readonly ImageRecord[];
  /** The number of each record's label. */
  readonly labels: readonly number[];
  readonly images: ImageLoader;
  /** What is done at random to images that are drawn. */
  readonly augmentations?: readonly Augmentation[];
  readonly seed?: number;
}

/** The images, each float32 `[3, height, width]`. An image that cannot be decoded is an error that names its file. */
export function imageKinds({
  records,
  labels,
  images,
  augmentations = [],
  seed = 0,
}: ImageKindsRequest): KindItems<Tensor> {
  return {
    labels,
    nameOf: (index) => nameOfRecord(records[index]!),
    keyOf: (index) => contentKey(records[index]!.file),
    load: async (index, draw) => {
      const record = records[index]!;
      const drawn = draw !== undefined && augmentations.length > 0 ? { augmentations, seed: drawSeed(seed, draw) } : {};
      return (await atPlace(record, () => images.load({ image: record.file, ...drawn }))).pixels;
    },
  };
}
