/** @file Answers of a detector about pictures: boxes with classes and scores, of whole pictures or also of tiles. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  type Predictor,
  type Processor,
  type RecordPredictorOptions,
  recordPredictor,
  type RunnableModel,
  type Source,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { FoundObject } from '../../metrics/cocoEvaluation.ts';
import type { ImageLike } from '../../image/image.ts';
import { checkBatch, imagePort } from '../imagePorts.ts';
import { FedImages, type ImageReading, openImages } from '../imageTask.ts';
import { cocoAnswers, cocoEndings, type DetectedObject, type SegmentedObject, segmentationOf } from './cocoAnswers.ts';
import { decodeRle } from '../../data/shapes/outlines.ts';
import { polygonsOf } from './masks.ts';
import { feedsOf, foundObjects } from './detectionData.ts';
import { type Detector, detectorOf, type ObjectKind, requireNumberedClasses } from './detector.ts';
import { mergedTiles, tilesOf } from './tiles.ts';

/** Options of {@link objectDetector}. */
export interface ObjectDetectorOptions extends Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** Least score of an answer; the best one on held-out images by default, else 0.5. */
  readonly threshold?: number | undefined;
}

/** The objects that were found in an image. */
export type DetectionPrediction = Readonly<{
  /** Classes with their numbers of objects, as text. */
  label: string;
  /** By falling score. */
  objects: readonly DetectedObject[];
}>;

/** The objects of an image with their pixels. */
export type InstancePrediction = Readonly<{
  /** Classes with their numbers of objects, as text. */
  label: string;
  /** By falling score. */
  objects: readonly SegmentedObject[];
}>;

/** Threshold where none was chosen on held-out images. */
const USUAL_THRESHOLD = 0.5;

/**
 * A processor from image files to feeds, and from outputs to boxes with classes and scores. Outputs are decoded with
 * their own feeds.
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` for another model; `feeds` throws `DATA_INVALID` naming
 *   an unreadable image
 */
export async function objectDetector(model: TaskModel, options: ObjectDetectorOptions = {}): Promise<Processor> {
  const { outputs: read, feeds, found, labels } = await openDetector(model, options);
  return {
    ...(read && { outputs: read }),
    feeds,
    decode: (outputs, inputs) => found(outputs, inputs).map((objects) => predictionOf(objects, labels)),
  };
}

/**
 * As {@link objectDetector}, for models whose queries give masks: objects also have their pixels.
 * @throws OnnxLoraError as {@link objectDetector}
 */
export async function instanceSegmenter(model: TaskModel, options: ObjectDetectorOptions = {}): Promise<Processor> {
  const { feeds, found, labels } = await openDetector(model, options, 'masks');
  return {
    feeds,
    decode: (outputs, inputs) => found(outputs, inputs).map((objects) => predictionOf(objects, labels)),
  };
}

/** Preprocessing and decoding of a detector. */
async function openDetector(model: TaskModel, options: ObjectDetectorOptions, kind: ObjectKind = 'boxes') {
  requireNumberedClasses(model);
  // Each image is read once.
  const reading = { ...options, cacheBytes: 0 };
  const { images: loader, decoder, preprocessor } = await openImages(model, imagePort(model).name, reading);
  const known = detectorOf(model, { kind, size: preprocessor?.outputSize });
  const { threshold: learned, labels: named } = model.learned ?? {};
  // A dense head keeps its places: new classes took the first of them.
  const isNamed = Array.isArray(named) && (known.head.kind !== 'queries' || named.length === known.labels.length);
  const names = isNamed ? named.map(String) : known.labels;
  const detector: Detector = { ...known, labels: names };
  const { threshold = typeof learned === 'number' ? learned : USUAL_THRESHOLD } = options;
  const fed = new FedImages();
  const { head } = detector;
  return {
    ...(head.kind !== 'queries' && { outputs: head.levels.flatMap(({ values }) => values) }),
    decoder,
    labels: names,
    feeds: async (images: readonly ImageLike[]): Promise<Feeds> => {
      checkBatch(model, detector.input, images.length);
      const loaded = await Promise.all(images.map((image) => loader.load({ image })));
      return fed.note(feedsOf(loaded, detector).inputs, loaded);
    },
    found: (outputs: Readonly<Record<string, Tensor>>, inputs: Feeds): FoundObject[][] => {
      const [rows = 0, , height = 0, width = 0] = inputs[detector.input.name]!.dims;
      const frames = fed.of(inputs, rows).map((geometry) => ({ width, height, geometry }));
      return foundObjects(outputs, frames, detector, threshold);
    },
  };
}

/** Options of {@link detectionPredictor}. */
export interface DetectionPredictorOptions extends ObjectDetectorOptions {
  /** Edge in pixels of the tiles of larger pictures; without it pictures are looked at as a whole. */
  readonly tile?: number | undefined;
  /** Whether objects have masks; boxes alone by default. */
  readonly kind?: ObjectKind | undefined;
}

/** A part of a picture, or all of it, and the place of its first pixel. */
interface View {
  readonly image: ImageLike;
  readonly left: number;
  readonly top: number;
}

/**
 * A predictor of boxes. With `tile`, a larger picture is looked at as a whole and in overlapping tiles, whose boxes are
 * merged. Answers are written to a COCO file of an `.json` path.
 * @throws OnnxLoraError as {@link objectDetector} and `model.session`
 */
export async function detectionPredictor(
  model: RunnableModel,
  { tile, kind, ...own }: DetectionPredictorOptions,
  options: RecordPredictorOptions,
): Promise<Predictor> {
  const { outputs: inner, decoder, feeds, found, labels } = await openDetector(model, own, kind);
  const viewsOf = async (file: Source): Promise<readonly View[]> => {
    if (typeof file !== 'string')
      throw new OnnxLoraError('INPUT_INVALID', 'A detector reads files, not streams of bytes. Give it paths.');
    if (tile === undefined) return [{ image: file, left: 0, top: 0 }];
    return tilesOf(await decoder.decode(file), tile);
  };
  const predictor = await recordPredictor<readonly View[], View, readonly FoundObject[]>(
    model,
    {
      ...(inner && { outputs: inner }),
      read: viewsOf,
      rows: (views) => views,
      feeds: (views) => feeds(views.map(({ image }) => image)),
      decode: (outputs, inputs) => found(outputs, inputs),
      answers: (_, rows) => [predictionOf(mergedTiles(rows.map(({ row, found: own }) => ({ ...row, found: own }))), labels)], // prettier-ignore
    },
    options,
  );
  return { ...predictor, writer: (path) => cocoAnswers(path, labels), writerEndings: cocoEndings };
}

function predictionOf(found: readonly FoundObject[], labels: readonly string[]): DetectionPrediction {
  const objects = found
    .map(({ label, score, box, mask }): DetectedObject | SegmentedObject => ({
      label: labels[label]!,
      score,
      box,
      ...(mask && { segmentation: segmentationOf(mask), polygons: polygonsOf(decodeRle(mask)) }),
    }))
    .sort((a, b) => b.score - a.score);
  const counts = new Map<string, number>();
  for (const { label } of objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  const label = [...counts].map(([name, count]) => (count === 1 ? name : `${count} × ${name}`)).join(', ');
  return { label: label === '' ? 'nothing' : label, objects };
}
