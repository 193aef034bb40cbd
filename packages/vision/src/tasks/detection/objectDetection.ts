/** @file The task `object-detection`. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { contentKey, drawSeed, nameOfRecord, withSourceLocation } from '@onnx-lora/sdk/data';
import {
  checkedTask,
  type PreparedTask,
  type Processor,
  RecordDataset,
  type Task,
  type TaskModel,
  type Value,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/manifest.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import type { DetectionScores, FoundObject } from '../../metrics/cocoEvaluation.ts';
import type { ImageRequest } from '../../preprocess/imageThread.ts';
import { checkBatch } from '../imagePorts.ts';
import { FedImages, type ImageReading, openImages, type ImageTask, imageTask } from '../imageTask.ts';
import {
  checkedBoxes,
  collateDetection,
  detectionClasses,
  type DetectionExample,
  exampleOf,
  feedsOf,
  foundObjects,
  learnable,
} from './detectionData.ts';
import { DetectionMetrics } from './detectionMetrics.ts';
import { type DetectionDataset, detectionReport } from './detectionReport.ts';
import { type DenseHead, denseLevels } from './denseHead.ts';
import { type Detector, detectorOf, type QueryHead } from './detector.ts';
import { type DetectorPorts, detectorOutputs } from './detectorPorts.ts';
import { detectionLoss, type DetectionTargets } from './losses/detectionLoss.ts';
import { gridLoss } from './losses/gridLoss.ts';
import { offsetLoss } from './losses/offsetLoss.ts';
import { bestThreshold } from './threshold.ts';

/** Options of {@link objectDetection}. */
export interface ObjectDetectionOptions extends ImageDataOptions, ImageReading {
  /** Names of all classes; others than the model's get a new class head. By default those of the data. */
  readonly labels?: readonly string[] | undefined;
  /** Augmentations of training images and their boxes; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

const trainingSettings = {
  labels: { kind: 'texts', description: 'Names of all classes; those of the data by default.' },
  augment: augmentSetting,
  ...dataSettings,
} as const;

/** Options of {@link objectDetector}. */
export interface ObjectDetectorOptions extends Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** Least score of an answer; the best one on held-out images by default, else 0.5. */
  readonly threshold?: number | undefined;
}

const settings = settingsOf<ObjectDetectionOptions & ObjectDetectorOptions>({
  ...trainingSettings,
  threshold: {
    kind: 'number',
    min: 0,
    max: 1,
    description: 'Least score of an answer; the best one on held-out images by default.',
  },
});
const ownSettings = settingsOf<ObjectDetectionOptions>(trainingSettings);

/**
 * Object detection: boxes with classes. `data` is a COCO file, YOLO's text files with a `data.yaml`, or Pascal VOC's XML
 * files. For DETR and its kin, whose queries give classes and boxes. Needs `preprocessor_config.json` in the model's
 * folder.
 * @example
 * ```ts
 * const task = objectDetection('screws', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function objectDetection(
  data: ImageSource,
  options: ObjectDetectionOptions = {},
): Task<DetectionExample, DetectionScores> {
  return checkedTask(ownSettings, options, {
    name: 'object-detection',
    prepare: (model) => prepare(model, data, options),
  });
}

/** The task `object-detection`. */
export const objectDetectionTask: ImageTask = imageTask({
  name: 'object-detection',
  description: 'Boxes with classes; the data is a COCO file, or a folder in the layout of COCO, YOLO or Pascal VOC.',
  settings,
  task: (data, given) => {
    const { threshold: _, ...options } = given;
    return objectDetection(data, options);
  },
  processor: (model, { decoder, preprocessors, threshold }) =>
    objectDetector(model, { decoder, preprocessors, threshold }),
});

async function prepare(
  model: TaskModel,
  source: ImageSource,
  options: ObjectDetectionOptions,
): Promise<PreparedTask<DetectionExample, DetectionScores>> {
  const { seed = 0, augment = [], labels: given } = options;
  const detector = detectorOf(model);
  const { images: loader, decoder, preprocessor, path } = await openImages(model, detector.input.name, options);
  if (!preprocessor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}": a preprocessor of your own cannot move boxes along with images. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  const data = await readImageData(source, options);
  const all = [...data.train, ...(data.validation ?? [])];
  const { labels, isNew } = detectionClasses(detector, all, data.root, given);
  if (isNew) requireRoom(detector, labels, model);
  const { warnings } = checkedBoxes(all, data.root);
  const dataset = (records: readonly ImageRecord[], drawn: readonly Augmentation[]): DetectionDataset =>
    new RecordDataset(records, [], {
      isDeterministic: drawn.length === 0,
      nameOf: nameOfRecord,
      keyOf: ({ file }) => contentKey(file),
      load: async (record, draw) => {
        const isChanged = draw !== undefined && drawn.length > 0;
        const request: ImageRequest = {
          image: record.file,
          boxes: learnable(record, labels).map(({ box }) => box),
          ...(isChanged && { augmentations: drawn, seed: drawSeed(seed, draw) }),
        };
        const loaded = await withSourceLocation(record, () => loader.load(request));
        return exampleOf(loaded, record, labels, { isDrawn: draw !== undefined, isChanged });
      },
    });
  const train = dataset(data.train, augment);
  const validation = data.validation && dataset(data.validation, []);
  const slots = Math.max(1, ...all.map((record) => learnable(record, labels).length));
  const measured = isNew ? { ...detector, labels } : detector;
  const { head } = detector;
  const collate = (examples: readonly DetectionExample[]) =>
    Promise.resolve().then(() => collateDetection(examples, detector, model, slots));
  return {
    train,
    ...(validation && { validation }),
    warnings: [...(data.warnings ?? []), ...warnings],
    notes: detector.notes,
    collate,
    ...(head.kind === 'queries' ? queryParts(head, labels, isNew) : denseParts(head)),
    metrics: () => new DetectionMetrics(measured, labels.length),
    ...(validation && {
      finish: async (request) => ({
        labels,
        threshold: await bestThreshold(request, { dataset: validation, collate, detector: measured, labels }),
      }),
      report: (request) =>
        detectionReport(request, { dataset: validation, collate, detector: measured, labels, isNew, decoder }),
    }),
  };
}

/** The targets of a loss. */
function targetsIn(targets: Readonly<Record<string, Value>>): DetectionTargets {
  return {
    labels: targets['labels']!,
    boxes: targets['boxes']!,
    counts: targets['counts']!,
    batchCounts: targets['batchCounts']!,
  };
}

/** Parts of a task that depend on the head: the loss, values that it reads, a new class head. */
type HeadParts = Pick<PreparedTask<DetectionExample, DetectionScores>, 'head' | 'loss' | 'lossWeight' | 'outputs'>;

function queryParts({ ports, loss, hasNothing }: QueryHead, labels: readonly string[], isNew: boolean): HeadParts {
  const own = isNew ? finalPorts(ports) : ports;
  return {
    ...(isNew && { head: { output: ports.logits, labels: hasNothing ? [...labels, NOTHING] : labels } }),
    loss: (g, outputs, targets) => detectionLoss(g, detectorOutputs(g, outputs, own), targetsIn(targets), loss),
    lossWeight: ({ counts }) => counts!.dims[0]!,
  };
}

/** Places of a whole batch are counted together, so that it is not split. */
function denseParts(head: DenseHead): HeadParts {
  const strides = head.levels.map(({ stride }) => stride);
  return {
    outputs: head.levels.flatMap(({ values }) => values),
    loss: (g, outputs, targets) => {
      const levels = denseLevels(g, head, outputs);
      return head.kind === 'distances'
        ? gridLoss(g, levels, targetsIn(targets), { strides, bins: head.bins })
        : offsetLoss(g, levels, targetsIn(targets), strides);
    },
  };
}

/** Name of the last class of models that have one for no object. */
const NOTHING = 'no object';

/** @throws OnnxLoraError `CONFIG_INVALID` for more classes than a dense head has, whose classes stand in several layers */
function requireRoom({ head }: Detector, labels: readonly string[], { name }: TaskModel): void {
  if (head.kind === 'queries' || labels.length <= head.classes) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The data have ${labels.length} classes, and the head of "${name}" has room for ${head.classes}. Give as many "labels", or use a model with more classes.`,
  );
}

/** The outputs without those of auxiliary losses, whose heads have the old classes. */
function finalPorts({ logits, boxes }: DetectorPorts): DetectorPorts {
  return { logits, boxes };
}

/** An object in an answer. */
export interface DetectedObject {
  /** Name of its class. */
  readonly label: string;
  /** Its probability, 0 to 1. */
  readonly score: number;
  /** Left, top, width and height in pixels of the image, as in COCO. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
}

/** The objects that were found in an image. */
export type DetectionPrediction = Readonly<{
  /** Classes with their numbers of objects, as text. */
  label: string;
  /** By falling score. */
  objects: readonly DetectedObject[];
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
  const known = detectorOf(model);
  const { threshold: learned, labels: named } = model.learned ?? {};
  // A dense head keeps its places: new classes took the first of them.
  const isNamed = Array.isArray(named) && (known.head.kind !== 'queries' || named.length === known.labels.length);
  const names = isNamed ? named.map(String) : known.labels;
  const detector = { ...known, labels: names };
  const { threshold = typeof learned === 'number' ? learned : USUAL_THRESHOLD } = options;
  // Each image is read once.
  const { images: loader } = await openImages(model, detector.input.name, { ...options, cacheBytes: 0 });
  const fed = new FedImages();
  const { head } = detector;
  return {
    ...(head.kind !== 'queries' && { outputs: head.levels.flatMap(({ values }) => values) }),
    feeds: async (files) => {
      checkBatch(model, detector.input, files.length);
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      return fed.note(feedsOf(images, detector).inputs, images);
    },
    decode: (outputs, inputs) => {
      const [rows = 0, , height = 0, width = 0] = inputs[detector.input.name]!.dims;
      const frames = fed.of(inputs, rows).map((geometry) => ({ width, height, geometry }));
      return foundObjects(outputs, frames, detector, threshold).map((found) => predictionOf(found, detector));
    },
  };
}

function predictionOf(found: readonly FoundObject[], { labels }: Pick<Detector, 'labels'>): DetectionPrediction {
  const objects = found
    .map(({ label, score, box }): DetectedObject => ({ label: labels[label]!, score, box }))
    .sort((a, b) => b.score - a.score);
  const counts = new Map<string, number>();
  for (const { label } of objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  const label = [...counts].map(([name, count]) => (count === 1 ? name : `${count} × ${name}`)).join(', ');
  return { label: label === '' ? 'nothing' : label, objects };
}
