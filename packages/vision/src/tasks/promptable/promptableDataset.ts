/** @file The dataset of objects in images, with prompts. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { RecordDataset } from '@onnx-lora/sdk/tasks';
import { withSourceLocation, contentKey, nameOfRecord, drawSeed, Random } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../augment/augment.ts';
import type { Mask } from '../../augment/sample.ts';
import type { ImageRecord, Point } from '../../data/imageRecord.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import type { MaskSource } from '../../preprocess/imageThread.ts';
import { type InputPrompt, promptToInput } from './prompt.ts';
import { promptFor, type PromptOptions } from './promptSampling.ts';

/** An image with prompts for some of its objects. */
export interface PromptableExample {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** From the image's pixels to the model's input. */
  readonly geometry: Geometry;
  /** One prompt per object, in pixels of the model's input. */
  readonly prompts: readonly InputPrompt[];
  /** The object of each prompt, in pixels of the image. */
  readonly masks: readonly Mask[];
  /** 1 for prompts, 0 for padding. */
  readonly weights: readonly number[];
  /** True for evaluation. */
  readonly isMeasured: boolean;
}

interface Item {
  readonly record: ImageRecord;
  readonly masks: readonly MaskSource[];
}

export interface PromptableDatasetOptions {
  readonly loader: ImageLoader;
  readonly prompts: Required<PromptOptions>;
  readonly promptInputs: readonly string[];
  readonly augment: readonly Augmentation[];
  readonly objectsPerImage: number;
  readonly seed: number;
}

/** Prompts for objects with known masks, sampled again for each draw. */
export class PromptableDataset extends RecordDataset<Item, PromptableExample, undefined> {
  /** Prompts vary, unless the data give all of them. */
  readonly changingInputs: readonly string[];

  /** @throws OnnxLoraError `DATA_INVALID` for a record without a mask */
  constructor(records: readonly ImageRecord[], options: PromptableDatasetOptions) {
    const { prompts, promptInputs, augment, objectsPerImage } = options;
    const items = records.flatMap((record) => itemsOf(record, objectsPerImage));
    super(items, [], {
      // Images only vary with augmentations.
      isDeterministic: augment.length === 0,
      nameOf: ({ record }) => nameOfRecord(record),
      keyOf: ({ record }) => contentKey(record.file),
      load: (item, draw) => prompted(item, draw, options),
    });
    const isGiven = ({ record }: Item): boolean => (pointsOf(record)?.length ?? 0) >= prompts.points;
    this.changingInputs = !prompts.box && prompts.negativePoints === 0 && items.every(isGiven) ? [] : promptInputs;
  }
}

/** @throws OnnxLoraError `DATA_INVALID`, naming the file, for an unreadable image or mask, or an empty mask */
async function prompted(
  item: Item,
  draw: number | undefined,
  { loader, prompts, augment, objectsPerImage, seed }: PromptableDatasetOptions,
): Promise<PromptableExample> {
  const { record } = item;
  const isMeasured = draw === undefined;
  const drawn = isMeasured ? 0 : drawSeed(seed, draw);
  const known = pointsOf(record);
  const { pixels, geometry, masks, points } = await withSourceLocation(record, () =>
    loader.load({
      image: record.file,
      masks: item.masks,
      ...(known && { points: known }),
      ...(!isMeasured && augment.length > 0 && { augmentations: augment, seed: drawn }),
      annotations: 'image',
    }),
  );
  // Augmentations may have moved an object out of the image.
  const there = masks!.filter(({ data }) => data.includes(1));
  if (isMeasured && there.length < masks!.length) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${record.place}: the mask of an object in "${record.file}" is empty. Take it out of the data.`,
    );
  }
  const nothing: Mask = { width: geometry.input.width, height: geometry.input.height, data: new Uint8Array(geometry.input.width * geometry.input.height) }; // prettier-ignore
  const shown = Array.from({ length: objectsPerImage }, (_, i) => there[i % there.length] ?? nothing);
  const random = isMeasured ? undefined : new Random(drawn);
  const promptOf = (mask: Mask): InputPrompt => {
    if (mask === nothing) return promptToInput({ points: [[0, 0]] }, geometry, record.file);
    const options = { random, ...(points && item.masks.length === 1 && { known: onObject(points, mask) }) };
    return promptToInput(promptFor(mask, prompts, options), geometry, record.file);
  };
  return {
    file: record.file,
    pixels,
    geometry,
    prompts: shown.map(promptOf),
    masks: shown,
    // A repeated object has another prompt in training, but counts once in evaluation.
    weights: shown.map((mask, i) => (mask === nothing || (isMeasured && i >= there.length) ? 0 : 1)),
    isMeasured,
  };
}

/** The data's points for an image's only object. */
function pointsOf({ points, mask, objects }: ImageRecord): readonly Point[] | undefined {
  return points && points.length > 0 && (mask !== undefined || objects?.length === 1) ? points : undefined;
}

/** Drops points that augmentations moved off the object. */
function onObject(points: readonly Point[], { data, width, height }: Mask): Point[] {
  return points.filter(([x, y]) => x >= 0 && y >= 0 && x < width && y < height && data[Math.floor(y) * width + Math.floor(x)] === 1); // prettier-ignore
}

function itemsOf(record: ImageRecord, each: number): Item[] {
  if (record.mask !== undefined) return [{ record, masks: [{ kind: 'object', record }] }];
  const masks = (record.objects ?? [])
    .filter(({ shape, crowd }) => shape && !crowd)
    .map((object): MaskSource => ({ kind: 'shape', object, place: record.place }));
  if (masks.length === 0 && !record.objects) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${record.place}: nothing shows which pixels of "${record.file}" are the object. Give a mask image (column "mask"), or a COCO file with polygons or run lengths.`,
    );
  }
  return Array.from({ length: Math.ceil(masks.length / each) }, (_, i) => ({
    record,
    masks: masks.slice(i * each, (i + 1) * each),
  }));
}
