/** @file The task `semantic-segmentation`. */

import { OnnxLoraError, stack, tensor, type Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  checkedTask,
  labelsOrNumbers,
  type PreparedTask,
  type Processor,
  RecordDataset,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/manifest.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import type { LoadedImage } from '../../preprocess/imageLoader.ts';
import { checkBatch } from '../imagePorts.ts';
import { FedImages, imageLoading, type ImageReading, openImages, type ImageTask, imageTask } from '../imageTask.ts';
import { checkNumber, segmentationClasses } from './segmentationClasses.ts';
import {
  IGNORED,
  segmentationLoss,
  type SegmentationLossOptions,
  checkedScores,
  SegmentationMetrics,
  type SegmentationScores,
} from './segmentationLoss.ts';
import {
  classMapOfImage,
  scoresOf,
  type SegmentationPorts,
  segmentationPorts,
  segmentationPrediction,
} from './classMap.ts';
import { type SegmentationDataset, type SegmentationExample, segmentationReport } from './segmentationReport.ts';

/** Options of {@link semanticSegmentation}. */
export interface SemanticSegmentationOptions extends ImageDataOptions, ImageReading, SegmentationLossOptions {
  /**
   * Names of all classes, in the order of their numbers; others than the model's get a new head. By default the
   * categories of COCO objects after `background`, or the model's classes.
   */
  readonly labels?: readonly string[] | undefined;
  /** Augmentations of training images and class maps; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

const settings = settingsOf<SemanticSegmentationOptions>({
  labels: { kind: 'texts', description: 'Names of all classes, in the order of their numbers in the masks.' },
  augment: augmentSetting,
  lossSize: {
    kind: 'choice',
    of: ['labels', 'logits'],
    description: 'Where scores and masks are compared: labels (default) or logits.',
  },
  dice: { kind: 'number', min: 0, description: 'Weight of the Dice loss beside the cross-entropy; 0 by default.' },
  classWeights: {
    kind: 'texts',
    to: weightsIn,
    must: 'numbers of at least 0',
    description: 'How much each class counts, in the order of the labels.',
  },
  labelSmoothing: {
    kind: 'number',
    min: 0,
    max: 1,
    description: 'Share of a label that is spread over all classes.',
  },
  ...dataSettings,
});

/**
 * Semantic segmentation: a class per pixel. `data` have masks of class numbers, with 255 ignored (folders `images` and
 * `masks`, or a manifest with a column `mask`), or outlined objects (COCO). Needs `preprocessor_config.json` in the
 * model's folder. Targets are `{ labels: int64 [batch, height, width] }`.
 * @example
 * ```ts
 * const task = semanticSegmentation('streets', { validation: 0.2, augment: standardAugmentations({ scale: [0.5, 1] }) });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function semanticSegmentation(
  data: ImageSource,
  options: SemanticSegmentationOptions = {},
): Task<SegmentationExample, SegmentationScores> {
  return checkedTask(settings, options, {
    name: 'semantic-segmentation',
    prepare: (model) => prepare(model, data, options),
  });
}

/** The task `semantic-segmentation`. */
export const semanticSegmentationTask: ImageTask = imageTask({
  name: 'semantic-segmentation',
  description:
    'A class per pixel; the data is a folder of images beside a folder of masks, or a COCO file of outlined objects.',
  settings,
  task: semanticSegmentation,
  processor: (model, { decoder, preprocessors }) => semanticSegmenter(model, { decoder, preprocessors }),
});

async function prepare(
  model: TaskModel,
  source: ImageSource,
  options: SemanticSegmentationOptions,
): Promise<PreparedTask<SegmentationExample, SegmentationScores>> {
  const { seed = 0, augment = [], labels: given } = options;
  const ports = segmentationPorts(model);
  const { images: loader, decoder, preprocessor, path } = await openImages(model, ports.input.name, options);
  if (!preprocessor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}": a preprocessor of your own cannot move class maps along with images. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  const data = await readImageData(source, options);
  const { reduceLabels } = preprocessor.plan;
  const classes = await segmentationClasses({ model, classes: ports.classes, data, labels: given, reduceLabels });
  const { labels } = classes;
  checkWeights(options.classWeights, labels);
  const dataset = (records: readonly ImageRecord[], drawn: readonly Augmentation[]): SegmentationDataset => {
    const itemOf = ({ pixels, masks }: LoadedImage, { file, place }: ImageRecord): SegmentationExample => {
      const [mask] = masks!;
      for (const number of new Set(mask!.data)) checkNumber(number, labels, `of ${place}`);
      return { file, pixels, classes: mask! };
    };
    const loading = imageLoading(loader, drawn, seed, itemOf, (record) => [classes.maskOf(record)]);
    return new RecordDataset(records, [], loading);
  };
  const train = dataset(data.train, augment);
  const validation = data.validation && dataset(data.validation, []);
  const { output } = ports;
  const collate = (examples: readonly SegmentationExample[]): Promise<Batch> => collateBatch(examples, ports, model);
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(classes.isNew && { head: { output, labels } }),
    collate,
    loss: (g, outputs, targets) => segmentationLoss(g, outputs[output]!, targets['labels']!, options),
    // A Dice loss is over the whole batch, not a mean of its parts.
    ...(options.dice ? {} : { lossWeight: ({ labels: maps }) => weightOf(maps!, options.classWeights) }),
    metrics: () => new SegmentationMetrics({ output, labels }),
    ...(validation && {
      report: (request) =>
        segmentationReport(request, { dataset: validation, collate, output, classes, loader, decoder }),
    }),
  };
}

function checkWeights(weights: readonly number[] | undefined, labels: readonly string[]): void {
  if (!weights || (weights.length === labels.length && weights.every((weight) => weight >= 0))) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"classWeights" must give a number of at least 0 to each of the ${labels.length} classes (${labels.join(', ')}), but it is [${weights.join(', ')}]. Correct it.`,
  );
}

async function collateBatch(
  examples: readonly SegmentationExample[],
  { input }: SegmentationPorts,
  model: TaskModel,
): Promise<Batch> {
  checkBatch(model, input, examples.length);
  const { width, height } = examples[0]!.classes;
  const size = width * height;
  const labels = new BigInt64Array(examples.length * size);
  examples.forEach(({ classes }, i) => {
    for (let at = 0; at < size; at++) labels[i * size + at] = numbers[classes.data[at]!]!;
  });
  return {
    inputs: { [input.name]: stack(examples.map(({ pixels }) => pixels)) },
    targets: { labels: tensor('int64', labels, [examples.length, height, width]) },
  };
}

/** Precomputed, since bigints are slow to make. */
const numbers = Array.from({ length: 256 }, (_, number) => BigInt(number));

/** Number of labelled pixels, or the sum of their weights. */
function weightOf({ data }: Tensor, weights: readonly number[] | undefined): number {
  let sum = 0;
  for (const label of data as BigInt64Array) {
    const number = Number(label);
    if (number !== IGNORED) sum += weights ? weights[number]! : 1;
  }
  return sum;
}

function weightsIn(texts: readonly string[]): readonly number[] | undefined {
  const weights = texts.map(Number);
  return weights.every((weight) => weight >= 0) ? weights : undefined;
}

/** Options of {@link semanticSegmenter}. */
export type SemanticSegmenterOptions = Pick<ImageReading, 'decoder' | 'preprocessors'>;

/**
 * A processor from image files to feeds, and from outputs to class maps at image size: a PNG of class numbers with a
 * palette (`mask`), and the share of each class (`classes`). Outputs are decoded with their own feeds.
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` for another model; `feeds` throws `DATA_INVALID` naming
 *   an unreadable image
 */
export async function semanticSegmenter(model: TaskModel, options: SemanticSegmenterOptions = {}): Promise<Processor> {
  const { input, output, classes } = segmentationPorts(model);
  // Each image is read once.
  const { images: loader } = await openImages(model, input.name, { ...options, cacheBytes: 0 });
  const labels = labelsOrNumbers(model, classes);
  const fed = new FedImages();
  return {
    feeds: async (files) => {
      checkBatch(model, input, files.length);
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      return fed.note({ [input.name]: stack(images.map(({ pixels }) => pixels)) }, images);
    },
    decode: (outputs, inputs) => {
      const scores = scoresOf(checkedScores(outputs, output, labels.length));
      const geometries = fed.of(inputs, scores.length);
      return scores.map((each, i) => segmentationPrediction(classMapOfImage(each, geometries[i]!), labels));
    },
  };
}
