/** @file Objects of records as examples: checked boxes, classes, images with their truth. */

import { float32, OnnxLoraError, stack, tensor, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type Batch, differentLabels, quotedNames, type TaskModel } from '@onnx-lora/sdk/tasks';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import type { Mask } from '../../augment/sample.ts';
import type { Box, ImageObject, ImageRecord } from '../../data/imageRecord.ts';
import { boxOfMask, maskOfObject } from '../../data/shapes/masks.ts';
import { decodeRle, encodeRle, type Rle } from '../../data/shapes/outlines.ts';
import type { FoundObject, TrueObject } from '../../metrics/cocoEvaluation.ts';
import type { Extent } from '../../metrics/objectOverlaps.ts';
import { boxToImage, type Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { LoadedImage } from '../../preprocess/imageLoader.ts';
import { padBatch } from '../../preprocess/normalize.ts';
import { checkBatch } from '../imagePorts.ts';
import { decodeBoxes, type FoundBox } from './decodeBoxes.ts';
import { decodeDense } from './decodeDense.ts';
import type { Detector, QueryHead } from './detector.ts';
import { type Frame, framesOf, frameTensor } from './frames.ts';
import { certaintyOf, maskInImage, masksOfRuns, maskTargets, runsOf } from './masks.ts';
import { detectionTargets } from './targets.ts';

/** A preprocessed image with its objects. */
export interface DetectionExample {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** Where the image lies in `pixels`. */
  readonly geometry: Geometry;
  /** Classes of the objects to learn. */
  readonly labels: readonly number[];
  /** Their boxes, in pixels of the model's input. */
  readonly boxes: readonly Box[];
  /** Their masks, of the model's input, where masks are learned. */
  readonly masks?: readonly Mask[];
  /** All objects, in pixels of the image; absent for an image drawn for training. */
  readonly truth?: readonly TrueObject[];
}

/** Classes of the data and of the model. */
export interface DetectionClasses {
  readonly labels: readonly string[];
  /** True if the model needs a new class head. */
  readonly isNew: boolean;
}

/** An object that can be learned, with its class and box. */
export interface Learnable {
  readonly label: number;
  readonly box: Box;
  readonly object: ImageObject;
}

/**
 * The classes: the model's own if it has all of the data, else the data's with a new head.
 * @throws OnnxLoraError `DATA_INVALID` for images without objects, or objects without classes
 */
export function detectionClasses(
  { labels }: Pick<Detector, 'labels'>,
  records: readonly ImageRecord[],
  root: string,
  given?: readonly string[],
): DetectionClasses {
  const bare = records.find(({ objects }) => objects === undefined);
  if (bare) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${bare.place}: "${bare.file}" has no objects, not even an empty list. Give a COCO file ("annotations.json" beside the images), YOLO's text files with a data.yaml, or Pascal VOC's XML files.`,
    );
  }
  const names = records.flatMap(({ objects = [], place }) =>
    objects.map(({ category }, i) => {
      if (category !== undefined) return category;
      throw new OnnxLoraError('DATA_INVALID', `${place}: object ${i + 1} has no class. Name one.`);
    }),
  );
  const found = differentLabels(names, { root, noun: 'objects' });
  const chosen = given ?? found;
  const unknown = found.find((name) => !chosen.includes(name));
  if (unknown !== undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has objects of the class "${unknown}", but the labels are: ${quotedNames(chosen, 20)}.${didYouMean(unknown, chosen)} Add it to "labels".`,
    );
  }
  // transformers calls unnamed classes LABEL_0, LABEL_1 …; they take the names of the data.
  const isUnnamed = labels.length === chosen.length && labels.every((label, i) => label === `LABEL_${i}`);
  if (isUnnamed) return { labels: chosen, isNew: false };
  if (chosen.every((name) => labels.includes(name))) return { labels, isNew: false };
  return { labels: chosen, isNew: true };
}

/** Problems of boxes, told once per kind. */
export interface BoxReport {
  readonly warnings: readonly string[];
}

/** Looks at all boxes: without an extent, doubled. @throws OnnxLoraError `DATA_INVALID` if no box is sound */
export function checkedBoxes(records: readonly ImageRecord[], root: string): BoxReport {
  const empty: string[] = [];
  const doubled: string[] = [];
  let sound = 0;
  for (const { objects = [], place } of records) {
    const seen = new Set<string>();
    objects.forEach((object, i) => {
      const box = boxOfObject(object);
      const where = `${place}, object ${i + 1}`;
      if (!box) {
        empty.push(where);
        return;
      }
      sound++;
      const key = `${object.category}|${box.join()}`;
      if (seen.has(key)) doubled.push(where);
      seen.add(key);
    });
  }
  if (sound === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The images of "${root}" have no box with a width and a height. Draw some.`,
    );
  }
  const told = (places: readonly string[], what: string, advice: string): string[] =>
    places.length === 0
      ? []
      : [`${places[0]!}: ${what}${places.length > 1 ? ` (and ${places.length - 1} more like it)` : ''}. ${advice}`];
  return {
    warnings: [
      ...told(empty, 'the box has no width or no height', 'It is left out; remove it.'),
      ...told(doubled, 'the same box of the same class was there before', 'Both are learned; remove one.'),
    ],
  };
}

/** The box of an object, or of its outline. */
function boxOfObject({ box, shape }: ImageObject): Box | undefined {
  if (box || !shape) return box;
  if (shape.kind === 'runs') return boxOfMask(decodeRle(shape));
  const [xs, ys] = [0, 1].map((axis) => shape.rings.flatMap((ring) => ring.filter((_, i) => i % 2 === axis)));
  const around: Box = [Math.min(...xs!), Math.min(...ys!), Math.max(...xs!), Math.max(...ys!)];
  return around[2] > around[0] && around[3] > around[1] ? around : undefined;
}

/** Objects of a record to learn: those with a box that are no crowds. */
export function learnable({ objects = [] }: ImageRecord, labels: readonly string[]): Learnable[] {
  return objects.flatMap((object) => {
    const box = boxOfObject(object);
    if (!box || object.crowd === true) return [];
    return [{ label: labels.indexOf(object.category!), box, object }];
  });
}

/**
 * An example from a loaded image. Boxes are clipped to the image, as transformers does; objects of whose mask no pixel is left
 * are dropped.
 * @throws OnnxLoraError `DATA_INVALID` for a box outside of its image, naming both
 */
export function exampleOf(
  { pixels, geometry, boxes = [], boxIndices, masks }: LoadedImage,
  record: ImageRecord,
  labels: readonly string[],
  { isDrawn, isChanged }: { readonly isDrawn: boolean; readonly isChanged: boolean },
): DetectionExample {
  const own = learnable(record, labels);
  const { content, shift } = geometry;
  const [left, top] = [Math.max(0, shift.x), Math.max(0, shift.y)];
  const kept = boxes.flatMap((box, i) => {
    const clipped: Box = [
      Math.min(Math.max(box[0], left), left + content.width),
      Math.min(Math.max(box[1], top), top + content.height),
      Math.min(Math.max(box[2], left), left + content.width),
      Math.min(Math.max(box[3], top), top + content.height),
    ];
    const index = boxIndices?.[i] ?? i;
    const [object, mask] = [own[index]!, masks?.[index]];
    const isEmpty = mask?.data.every((each) => each === 0) ?? false;
    if (clipped[2] > clipped[0] && clipped[3] > clipped[1])
      return isEmpty ? [] : [{ label: object.label, box: clipped, mask }];
    if (isChanged) return [];
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${record.place}: the box [${object.box.join(', ')}] of class "${labels[object.label]}" lies outside of the image "${record.file}" of ${geometry.input.width} x ${geometry.input.height} pixels. Correct or remove it.`,
    );
  });
  return {
    file: record.file,
    pixels,
    geometry,
    labels: kept.map(({ label }) => label),
    boxes: kept.map(({ box }) => box),
    ...(masks && { masks: kept.map(({ mask }) => mask!) }),
    ...(isDrawn ? {} : { truth: truthOf(record, labels, masks && geometry.input) }),
  };
}

/** @param size of the image, where masks are learned */
function truthOf(
  { objects = [], place }: ImageRecord,
  labels: readonly string[],
  size: Size | undefined,
): TrueObject[] {
  return objects.flatMap((object): TrueObject[] => {
    const box = boxOfObject(object);
    if (!box) return [];
    const pixels = size && maskOfObject(object, size, place);
    const mask = pixels && encodeRle(pixels);
    const { crowd = false, area = mask && pixels.data.reduce((sum, each) => sum + each, 0) } = object;
    return [{ label: labels.indexOf(object.category!), box: extentOf(box), crowd, ...withoutUndefined({ area, mask }) }]; // prettier-ignore
  });
}

function extentOf([x0, y0, x1, y1]: Box): Extent {
  return [x0, y0, x1 - x0, y1 - y0];
}

/** Numbers per true object: class, crowd, area, and left, top, width and height. */
const TRUTH = 7;

/** Feeds of a batch, and targets: of the loss, and of the metrics unless images were drawn for training. */
export function collateDetection(
  examples: readonly DetectionExample[],
  { input, mask: maskInput, head }: Detector,
  model: TaskModel,
  slots: number,
): Batch {
  checkBatch(model, input, examples.length);
  const { inputs, width, height } = feedsOf(examples, { input, mask: maskInput });
  const targets = detectionTargets(
    examples.map(({ labels, boxes }) => ({
      labels,
      boxes: boxes.map(([x0, y0, x1, y1]) => [
        (x0 + x1) / 2 / width,
        (y0 + y1) / 2 / height,
        (x1 - x0) / width,
        (y1 - y0) / height,
      ]),
    })),
    slots,
  );
  const masks = learnsMasks(head) && { masks: maskTargets(examples.map((each) => each.masks ?? []), targets['labels']!.dims[1]!, { width, height }) }; // prettier-ignore
  return { inputs, targets: { ...targets, ...masks, ...truthTargets(examples, { width, height }) } };
}

/** Whether a head's masks are learned and answered. */
export function learnsMasks(head: Detector['head']): boolean {
  return head.kind === 'queries' && head.ports.masks !== undefined;
}

/** Images as feeds, padded to the largest. */
export function feedsOf(
  examples: readonly Pick<DetectionExample, 'pixels' | 'geometry'>[],
  { input, mask }: Pick<Detector, 'input' | 'mask'>,
): { readonly inputs: Feeds; readonly width: number; readonly height: number } {
  const images = examples.map(({ pixels }) => pixels);
  const [, rows = 0, columns = 0] = images[0]!.dims;
  const isEven = images.every(({ dims }) => dims[1] === rows && dims[2] === columns);
  const pixels = isEven ? stack(images) : padBatch(images).pixels;
  const [, , height = 0, width = 0] = pixels.dims;
  const isReal = mask === undefined ? {} : { [mask]: maskOfContents(examples, { height, width }) };
  return { inputs: { [input.name]: pixels, ...isReal }, width, height };
}

/** `pixel_mask`: 1 where a batch's pixels are an image's, 0 where they are padding. */
function maskOfContents(examples: readonly Pick<DetectionExample, 'geometry'>[], { height, width }: Size): Tensor {
  const data = new BigInt64Array(examples.length * height * width);
  examples.forEach(({ geometry: { content } }, i) => {
    for (let y = 0; y < content.height; y++) {
      const start = (i * height + y) * width;
      data.fill(1n, start, start + content.width);
    }
  });
  return tensor('int64', data, [examples.length, height, width]);
}

function truthTargets(
  examples: readonly DetectionExample[],
  { width, height }: { readonly width: number; readonly height: number },
): Feeds {
  const truths = examples.flatMap(({ truth }) => (truth ? [truth] : []));
  if (truths.length < examples.length) return {};
  const most = Math.max(1, ...truths.map(({ length }) => length));
  const rows = truths.flatMap((objects) => {
    const numbers = objects.flatMap(({ label, crowd, area, box }) => [label, crowd === true ? 1 : 0, area ?? box[2] * box[3], ...box]); // prettier-ignore
    return [...numbers, ...new Array<number>((most - objects.length) * TRUTH).fill(-1)];
  });
  return {
    truth: tensor('float64', Float64Array.from(rows), [examples.length, most, TRUTH]),
    frames: frameTensor(examples.map(({ geometry }) => ({ width, height, geometry }))),
    ...(examples.some(({ masks }) => masks) && {
      runs: runsOf(truths.map((own) => own.flatMap(({ mask }) => mask ?? []))),
    }),
  };
}

/** The true objects of a batch's images. */
export function trueObjects(targets: Feeds): TrueObject[][] {
  const { truth, runs } = targets;
  if (!truth)
    throw new OnnxLoraError(
      'INPUT_INVALID',
      'Examples drawn for training cannot be measured. Get them without a draw.',
    );
  const [rows = 0, most = 0] = truth.dims;
  const masks = runs && masksOfRuns(targets, framesOf(targets).map(({ geometry }) => geometry.input)); // prettier-ignore
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: most }, (__, i) => (row * most + i) * TRUTH).flatMap((at, i): TrueObject[] => {
      const [label, crowd, area, ...box] = Array.from(truth.data.subarray(at, at + TRUTH), Number) as [number, number, number, number, number, number, number]; // prettier-ignore
      return label < 0 ? [] : [{ label, crowd: crowd === 1, area, box, ...(masks && { mask: masks[row]![i]! }) }];
    }),
  );
}

/** Least score that the metrics of a dense head look at: it has thousands of places. */
const LEAST_SCORE = 0.001;
/** Overlap above which dense boxes of lower scores are dropped. */
const OVERLAP = 0.65;

/** The objects that a detector finds in each image of a batch, in pixels of the image, clipped to nothing. */
export function foundObjects(
  outputs: Readonly<Record<string, Tensor>>,
  frames: readonly Frame[],
  { head, labels }: Pick<Detector, 'head' | 'labels'>,
  threshold = 0,
): FoundObject[][] {
  if (learnsMasks(head))
    return masksOfQueries(outputs, frames, head as QueryHead, { threshold, classes: labels.length });
  const found =
    head.kind === 'queries'
      ? boxesOfQueries(outputs, frames, head, threshold)
      : decodeDense(outputs, head, {
          threshold: Math.max(threshold, LEAST_SCORE),
          overlap: OVERLAP,
          manyClasses: true,
        });
  if (found.length !== frames.length) throw unrelated(Object.keys(outputs));
  return frames.map(({ geometry }, row) =>
    found[row]!.filter(({ label }) => label < labels.length).map(({ label, score, box }) => ({
      label,
      score,
      box: extentOf(boxToImage(geometry, box)),
    })),
  );
}

/** Boxes in pixels of the model's input. */
function boxesOfQueries(
  outputs: Readonly<Record<string, Tensor>>,
  frames: readonly Frame[],
  { ports, scores }: QueryHead,
  threshold: number,
): FoundBox[][] {
  const logits = outputs[ports.logits];
  const [rows = 0, queries = 0, classes = 0] = logits?.dims ?? [];
  // Where masks stand alone, boxes are those around them.
  const boxes = ports.boxes === undefined ? float32(new Float32Array(rows * queries * 4), [rows, queries, 4]) : outputs[ports.boxes]; // prettier-ignore
  if (!logits || boxes?.dims.join() !== [rows, queries, 4].join() || rows !== frames.length)
    throw unrelated([ports.logits, ports.boxes ?? ports.masks!]);
  return frames.map(({ width, height }, row) =>
    decodeBoxes(
      {
        logits: logits.data.subarray(row * queries * classes, (row + 1) * queries * classes) as Float32Array,
        boxes: boxes.data.subarray(row * queries * 4, (row + 1) * queries * 4) as Float32Array,
      },
      scores,
      threshold,
    ).map(({ box: [x0, y0, x1, y1], ...each }) => ({
      ...each,
      box: [x0 * width, y0 * height, x1 * width, y1 * height],
    })),
  );
}

/** Objects with masks in pixels of the image; those without a pixel are left out. */
function masksOfQueries(
  outputs: Readonly<Record<string, Tensor>>,
  frames: readonly Frame[],
  head: QueryHead,
  { threshold, classes }: { readonly threshold: number; readonly classes: number },
): FoundObject[][] {
  const { ports } = head;
  const masks = outputs[ports.masks!];
  const [images = 0, queries = 0, rows = 0, columns = 0] = masks?.dims ?? [];
  if (!masks || images !== frames.length) throw unrelated([ports.logits, ports.masks!]);
  const found = boxesOfQueries(outputs, frames, head, threshold);
  const size = rows * columns;
  return frames.map((frame, image) => {
    // A query may answer with several classes.
    const known = new Map<number, { mask: Mask; rle: Rle }>();
    return found[image]!.flatMap(({ label, query, box, score }): FoundObject[] => {
      const start = (image * queries + query) * size;
      const scores = { rows, columns, data: (masks.data as Float32Array).subarray(start, start + size) };
      const sure = ports.boxes === undefined ? score * certaintyOf(scores) : score;
      if (label >= classes || sure <= threshold) return [];
      const mask = known.get(query)?.mask ?? maskInImage(scores, frame);
      const rle = known.get(query)?.rle ?? encodeRle(mask);
      known.set(query, { mask, rle });
      const around = boxOfMask(mask);
      if (!around) return [];
      const own = ports.boxes === undefined ? around : boxToImage(frame.geometry, box);
      return [{ label, score: sure, box: extentOf(own), mask: rle }];
    });
  });
}

function unrelated(names: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The outputs ${quotedNames(names, 20)} do not belong together. Export the model again.`,
  );
}
