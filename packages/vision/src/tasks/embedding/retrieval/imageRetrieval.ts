/** @file Teaches a model which images show the same thing, and measures how well one image finds the others. */

import { int64, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  embeddingScatter,
  type EmbeddingsOf,
  type KindGroup,
  KindGroups,
  type KindItems,
  type PreparedTask,
  retrievalLoss,
  type RetrievalLossOptions,
  RetrievalMetrics,
  type RetrievalScores,
  SingleKinds,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { withSourceLocation, contentKey, drawSeed, nameOfRecord } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../../augment/augment.ts';
import type { ImageSource } from '../../../data/imageData.ts';
import type { ImageRecord } from '../../../data/imageRecord.ts';
import { readTaskData, type TaskDataOptions } from '../../../data/readTaskData.ts';
import type { ImageLoader } from '../../../preprocess/imageRequest.ts';
import { checkBatch } from '../../imagePort.ts';
import type { ImageReading } from '../../imageReading.ts';
import type { FeatureOptions } from '../features.ts';
import { openFeatures } from '../openFeatures.ts';
import { pooledRows, pooledValue } from '../pooling.ts';

/** Images of one kind, each float32 `[3, height, width]`. */
export type ImageGroup = KindGroup<Tensor>;

/** Options of {@link imageRetrieval}. */
export interface ImageRetrievalOptions extends FeatureOptions, TaskDataOptions, ImageReading, RetrievalLossOptions {
  /** What is done to training images at random; nothing by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

/**
 * Metric learning on images with labels: images of one label are drawn together, others apart. An example is a group of
 * `perGroup` images of one label, so a batch of 32 examples has 64 images. Held-out images search each other; they may show
 * other things than the training images.
 *
 * @example
 * const run = await train(model, { task: imageRetrieval('products', { validation: 0.2 }), lora: { r: 8 } });
 *
 * @param data a path, records or what {@link readImageData} gave; every image needs a label
 */
export function imageRetrieval(
  data: ImageSource,
  options: ImageRetrievalOptions = {},
): Task<ImageGroup, RetrievalScores> {
  return { name: 'image-retrieval', prepare: (model) => prepare(model, data, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { loss, temperature, margin, perGroup = 2, augment = [], ...options }: ImageRetrievalOptions,
): Promise<PreparedTask<ImageGroup, RetrievalScores>> {
  const lossOf = retrievalLoss({ loss, temperature, margin, perGroup });
  const { features, images } = await openFeatures(model, options);
  const data = await readTaskData(source, options, haveAPair);
  if (data.validation && !haveAPair(data.validation)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `No two of the ${data.validation.length} held-out images of "${data.root}" have the same label, so none can find another. Hold more images out.`,
    );
  }
  const { seed = 0 } = options;
  const names = [...new Set([...data.train, ...(data.validation ?? [])].map(labelOf))].sort();
  const numbers = new Map(names.map((name, i) => [name, i]));
  const numbered = (records: readonly ImageRecord[]) => ({ records, labels: records.map((record) => numbers.get(labelOf(record))!) }); // prettier-ignore
  const [training, validating] = [numbered(data.train), data.validation && numbered(data.validation)];
  const drawn = imageKinds({ ...training, images, augmentations: augment, seed });
  const train = new KindGroups(drawn, { perGroup, isAugmented: augment.length > 0, seed, noun: 'images' });
  const held = validating && new SingleKinds(imageKinds({ ...validating, images }));
  const collate = async (groups: readonly ImageGroup[]): Promise<Batch> => {
    const pixels = groups.flatMap(({ items }) => items);
    checkBatch(model, features.input, pixels.length);
    const labels = groups.flatMap((group) => group.items.map(() => group.label));
    return {
      inputs: { [features.input.name]: stack(pixels) },
      targets: { labels: int64(labels, [labels.length]) },
    };
  };
  const embeddingsOf: EmbeddingsOf = (outputs) => pooledRows(outputs, features);
  return {
    train,
    ...(held && { validation: held }),
    ...(data.warnings && { warnings: data.warnings }),
    outputs: features.inner,
    collate,
    loss: (g, outputs, targets) => lossOf(g, pooledValue(g, outputs, features), targets['labels']!),
    metrics: () => new RetrievalMetrics(embeddingsOf),
    report: (request) => {
      const shown = validating ?? training;
      const dataset = new SingleKinds(imageKinds({ ...shown, images }));
      return embeddingScatter({ dataset, collate, labels: shown.labels, names, embeddingsOf, noun: 'images' }, request);
    },
  };
}

/** Whether any image can find another of its label. */
function haveAPair(records: readonly ImageRecord[]): boolean {
  return new Set(records.map(({ label }) => label)).size < records.length;
}

function labelOf({ label, place }: ImageRecord): string {
  if (label !== undefined) return label;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the image has no label, so nothing says which images show the same. Give each image a label, or put images into a folder for each label.`,
  );
}

/** What is known of the images, and how they are loaded. */
interface ImageKindsRequest {
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
      return (await withSourceLocation(record, () => images.load({ image: record.file, ...drawn }))).pixels;
    },
  };
}
