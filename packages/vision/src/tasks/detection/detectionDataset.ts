/** @file Images with their objects as a dataset, changed at random in training. */

import { contentKey, drawSeed, nameOfRecord, Random, withSourceLocation } from '@onnx-lora/sdk/data';
import { RecordDataset } from '@onnx-lora/sdk/tasks';
import type { Augmentation } from '../../augment/augment.ts';
import { mosaic } from '../../augment/mosaic.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { maskOfObject } from '../../data/shapes/masks.ts';
import type { ImageDecoder } from '../../image/image.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import type { ImageRequest, MaskSource } from '../../preprocess/imageThread.ts';
import { exampleOf, learnable } from './detectionData.ts';
import type { DetectionDataset } from './detectionReport.ts';

/** Random changes of training images. */
export interface Changes {
  readonly augment: readonly Augmentation[];
  /** Share of the images that are put together from four. */
  readonly mosaic: number;
}

export interface DetectionDatasetOptions {
  readonly records: readonly ImageRecord[];
  readonly labels: readonly string[];
  readonly loader: ImageLoader;
  readonly decoder: ImageDecoder;
  readonly seed: number;
  readonly changes?: Changes;
  /** Whether masks are loaded with the boxes; false by default. */
  readonly withMasks?: boolean;
}

/** Separates the draw of mosaics from augmentations with the same seed. */
const OWN_DRAWS = 0x4d6f7361;

/** The dataset. Its images are the same for the same seed and draw. */
export function detectionDataset({
  records,
  labels,
  loader,
  decoder,
  seed,
  changes,
  withMasks = false,
}: DetectionDatasetOptions): DetectionDataset {
  const { augment = [], mosaic: mixed = 0 } = changes ?? {};
  const isFixed = augment.length === 0 && mixed === 0;
  /** The record, or one with the objects of four images, and the pixels of all. */
  const drawn = async (
    record: ImageRecord,
    draw: number,
  ): Promise<{ record: ImageRecord; image?: ImageRequest['image']; masks?: MaskSource[] }> => {
    const random = new Random(drawSeed(seed, draw) ^ OWN_DRAWS);
    if (random.next() >= mixed) return { record };
    const four = [record, ...Array.from({ length: 3 }, () => records[random.index(records.length)]!)];
    const samples = await Promise.all(
      four.map(async (each) => {
        const image = await withSourceLocation(each, () => decoder.decode(each.file));
        const own = learnable(each, labels);
        const masks = withMasks && { masks: own.map(({ object }) => maskOfObject(object, image, each.place)!) };
        return { image, boxes: own.map(({ box }) => box), ...masks };
      }),
    );
    const { image, boxes, boxIndices, masks } = mosaic(samples, random);
    const objects = four.flatMap((each) => learnable(each, labels));
    const own = boxes.map((box, i) => ({ box, category: labels[objects[boxIndices[i]!]!.label]! }));
    const sources = masks?.map((mask): MaskSource => ({ kind: 'mask', mask }));
    return { record: { ...record, objects: own }, image, ...(sources && { masks: sources }) };
  };
  return new RecordDataset(records, [], {
    isDeterministic: isFixed,
    nameOf: nameOfRecord,
    keyOf: ({ file }) => contentKey(file),
    load: async (given, draw) => {
      const isChanged = draw !== undefined && !isFixed;
      const { record, image = given.file, masks } = isChanged ? await drawn(given, draw) : { record: given };
      const own = learnable(record, labels);
      const shapes = (): MaskSource[] => own.map(({ object }) => ({ kind: 'shape', object, place: record.place }));
      const request: ImageRequest = {
        image,
        boxes: own.map(({ box }) => box),
        ...(withMasks && { masks: masks ?? shapes() }),
        ...(isChanged && augment.length > 0 && { augmentations: augment, seed: drawSeed(seed, draw) }),
      };
      const loaded = await withSourceLocation(record, () => loader.load(request));
      return exampleOf(loaded, record, labels, { isDrawn: draw !== undefined, isChanged });
    },
  });
}

/**
 * One record per image with all of its objects: a table has a line for each. A line without a box and without a class is
 * of an image without objects.
 */
export function withAllObjects(records: readonly ImageRecord[]): readonly ImageRecord[] {
  if (!records.some(({ objects }) => objects)) return records;
  const byFile = new Map<string, ImageRecord>();
  for (const record of records) {
    const before = byFile.get(record.file);
    const own = record.objects ?? (record.label === undefined ? [] : undefined);
    if (!before) byFile.set(record.file, own ? { ...record, objects: own } : record);
    else if (own) byFile.set(record.file, { ...before, objects: [...(before.objects ?? []), ...own] });
  }
  return [...byFile.values()];
}
