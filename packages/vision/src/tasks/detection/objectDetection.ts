/** @file The tasks `object-detection` and `instance-segmentation`. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { checkedTask, type PreparedTask, type Task, type TaskModel, type Value } from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/manifest.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../data/imageRecord.ts';
import { nearDuplicateWarnings } from '../../data/nearDuplicates.ts';
import { readImageData } from '../../data/readImageData.ts';
import type { DetectionScores } from '../../metrics/cocoEvaluation.ts';
import { imagePort } from '../imagePorts.ts';
import { type ImageReading, openImages, type ImageTask, imageTask } from '../imageTask.ts';
import {
  detectionPredictor,
  type DetectionPredictorOptions,
  instanceSegmenter,
  objectDetector,
  type ObjectDetectorOptions,
} from './answers.ts';
import { checkedBoxes, collateDetection, detectionClasses, type DetectionExample, learnable } from './detectionData.ts';
import { DetectionMetrics } from './detectionMetrics.ts';
import { type Changes, detectionDataset, withAllObjects } from './detectionDataset.ts';
import { type DetectionDataset, detectionReport } from './detectionReport.ts';
import { type DenseHead, denseLevels } from './denseHead.ts';
import { type Detector, detectorOf, type ObjectKind, type QueryHead, requireNumberedClasses } from './detector.ts';
import { requireOutlines } from './masks.ts';
import { type DetectorPorts, detectorOutputs } from './detectorPorts.ts';
import { detectionLoss, type DetectionTargets } from './losses/detectionLoss.ts';
import { gridLoss } from './losses/gridLoss.ts';
import { offsetLoss } from './losses/offsetLoss.ts';
import { qualityLoss } from './losses/qualityLoss.ts';
import { bestThreshold } from './threshold.ts';

/** Options of {@link objectDetection}. */
export interface ObjectDetectionOptions extends ImageDataOptions, ImageReading {
  /** Names of all classes; others than the model's get a new class head. By default those of the data. */
  readonly labels?: readonly string[] | undefined;
  /** Augmentations of training images and their boxes; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
  /** Share of the training images that are put together from four, 0 to 1; 0 by default. */
  readonly mosaic?: number | undefined;
}

const trainingSettings = {
  labels: { kind: 'texts', description: 'Names of all classes; those of the data by default.' },
  augment: augmentSetting,
  mosaic: {
    kind: 'number',
    min: 0,
    max: 1,
    description: 'Share of the training images that are put together from four; 0 by default.',
  },
  ...dataSettings,
} as const;

const threshold = {
  kind: 'number',
  min: 0,
  max: 1,
  description: 'Least score of an answer; the best one on held-out images by default.',
} as const;

const settings = settingsOf<ObjectDetectionOptions & DetectionPredictorOptions>({
  ...trainingSettings,
  threshold,
  tile: {
    kind: 'number',
    whole: true,
    min: 1,
    description: 'Edge in pixels of the tiles that larger pictures are looked at in, to find small objects.',
  },
});
const maskSettings = settingsOf<ObjectDetectionOptions & ObjectDetectorOptions>({ ...trainingSettings, threshold });
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
    prepare: (model) => prepare(model, data, options, 'boxes'),
  });
}

/**
 * Instance segmentation: boxes with classes, and the pixels of each object. `data` as for {@link objectDetection}, with an
 * outline for each object: polygons or run lengths of a COCO file, outlines of YOLO, CVAT or Label Studio. For models whose
 * queries give masks: DETR's with a mask head, RF-DETR's, MaskFormer, Mask2Former. Needs `preprocessor_config.json` in
 * the model's folder.
 * @example
 * ```ts
 * const task = instanceSegmentation('screws', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function instanceSegmentation(
  data: ImageSource,
  options: ObjectDetectionOptions = {},
): Task<DetectionExample, DetectionScores> {
  return checkedTask(ownSettings, options, {
    name: 'instance-segmentation',
    prepare: (model) => prepare(model, data, options, 'masks'),
  });
}

/** The task `object-detection`. */
export const objectDetectionTask: ImageTask = imageTask({
  name: 'object-detection',
  description: 'Boxes with classes; the data is a COCO file, or a folder in the layout of COCO, YOLO or Pascal VOC.',
  settings,
  task: (data, given) => {
    const { threshold: _t, tile: _e, ...options } = given;
    return objectDetection(data, options);
  },
  predictor: (model, { decoder, preprocessors, threshold: least, tile }, options) =>
    detectionPredictor(model, { decoder, preprocessors, threshold: least, tile }, options),
  processor: (model, { decoder, preprocessors, threshold: least }) =>
    objectDetector(model, { decoder, preprocessors, threshold: least }),
});

/** The task `instance-segmentation`. */
export const instanceSegmentationTask: ImageTask = imageTask({
  name: 'instance-segmentation',
  description: 'Objects with classes, boxes and pixels; the data is that of object-detection with an outline of each object.', // prettier-ignore
  settings: maskSettings,
  task: (data, given) => {
    const { threshold: _t, ...options } = given;
    return instanceSegmentation(data, options);
  },
  predictor: (model, { decoder, preprocessors, threshold: least }, options) =>
    detectionPredictor(model, { decoder, preprocessors, threshold: least, kind: 'masks' }, options),
  processor: (model, { decoder, preprocessors, threshold: least }) =>
    instanceSegmenter(model, { decoder, preprocessors, threshold: least }),
});

async function prepare(
  model: TaskModel,
  source: ImageSource,
  options: ObjectDetectionOptions,
  kind: ObjectKind,
): Promise<PreparedTask<DetectionExample, DetectionScores>> {
  const { seed = 0, augment = [], mosaic: mixed = 0, labels: given } = options;
  requireNumberedClasses(model);
  const { images: loader, decoder, preprocessor, path } = await openImages(model, imagePort(model).name, options);
  if (!preprocessor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}": a preprocessor of your own cannot move boxes along with images. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  const detector = detectorOf(model, { kind, size: preprocessor.outputSize });
  const { train: first, validation: held, ...data } = await readImageData(source, options);
  const own = { train: withAllObjects(first), ...(held && { validation: withAllObjects(held) }) };
  const all = [...own.train, ...(own.validation ?? [])];
  const { labels, isNew } = detectionClasses(detector, all, data.root, given);
  if (isNew) requireRoom(detector, labels, model);
  if (kind === 'masks') requireOutlines(all);
  const { warnings } = checkedBoxes(all, data.root);
  const near = own.validation && options.findDuplicates !== false ? await nearDuplicateWarnings(own.train, own.validation) : []; // prettier-ignore
  const dataset = (records: readonly ImageRecord[], changes?: Changes): DetectionDataset =>
    detectionDataset({ records, labels, loader, decoder, seed, withMasks: kind === 'masks', ...(changes && { changes }) }); // prettier-ignore
  const train = dataset(own.train, { augment, mosaic: mixed });
  const validation = own.validation && dataset(own.validation);
  const most = Math.max(1, ...all.map((record) => learnable(record, labels).length));
  const slots = mixed > 0 ? 4 * most : most;
  const measured = isNew ? { ...detector, labels } : detector;
  const { head } = detector;
  const collate = (examples: readonly DetectionExample[]) =>
    Promise.resolve().then(() => collateDetection(examples, detector, model, slots));
  return {
    train,
    ...(validation && { validation }),
    warnings: [...(data.warnings ?? []), ...warnings, ...near],
    notes: detector.notes,
    collate,
    ...(head.kind === 'queries' ? queryParts(head, labels, isNew ? model : undefined) : denseParts(head)),
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
    ...(targets['masks'] && { masks: targets['masks'] }),
  };
}

/** Parts of a task that depend on the head: the loss, values that it reads, a new class head. */
type HeadParts = Pick<PreparedTask<DetectionExample, DetectionScores>, 'head' | 'loss' | 'lossWeight' | 'outputs'>;

/** @param model its heads are exchanged; undefined for classes that it has */
function queryParts(
  { ports, loss, hasNothing }: QueryHead,
  labels: readonly string[],
  model: TaskModel | undefined,
): HeadParts {
  const own = model ? portsOfNewHead(ports, model) : ports;
  return {
    ...(model && {
      head: {
        output: own.logits,
        ...withoutUndefined({ alsoOutput: own.auxLogits ?? own.intermediateLogits }),
        labels: hasNothing ? [...labels, NOTHING] : labels,
      },
    }),
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
      const [levels, { bins }] = [denseLevels(g, head, outputs), head];
      if (head.kind === 'offsets') return offsetLoss(g, levels, targetsIn(targets), strides);
      return (head.kind === 'distances' ? gridLoss : qualityLoss)(g, levels, targetsIn(targets), { strides, bins });
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

/**
 * The outputs that learn new classes: of the last layer, and of the layers before it where their scores come from heads
 * of their own, which are exchanged too. The encoder's proposals keep their head: it chooses the queries, by the old
 * classes, and new values would choose at random.
 */
function portsOfNewHead(
  { encoderLogits: _l, encoderBoxes: _b, ...ports }: DetectorPorts,
  model: TaskModel,
): DetectorPorts {
  const { logits, boxes, masks } = ports;
  const earlier = ports.auxLogits ?? ports.intermediateLogits;
  return earlier !== undefined && model.headInput?.(earlier)
    ? ports
    : { logits, ...withoutUndefined({ boxes, masks }) };
}
