/** @file Teaches a model which images show the same thing, and measures how well one image finds the others. */

import {
  type Batch,
  batchHardTriplet,
  infoNce,
  int64,
  OnnxLoraError,
  type PreparedTask,
  stack,
  supervisedContrastive,
  type Task,
  type TaskModel,
  type Value,
} from '@onnx-lora/sdk';
import type { Augmentation } from '../../../augment/augment.ts';
import type { ImageSource } from '../../../data/imageData.ts';
import type { ImageRecord } from '../../../data/imageRecord.ts';
import { readTaskData, type TaskDataOptions } from '../../../data/readTaskData.ts';
import { checkBatch } from '../../imagePort.ts';
import type { ImageReading } from '../../imageReading.ts';
import { decodeEmbeddings } from '../decodeEmbeddings.ts';
import { embeddingScatter } from '../embeddingScatter.ts';
import type { FeatureOptions } from '../features.ts';
import { openFeatures } from '../openFeatures.ts';
import { pooledValue } from '../pooling.ts';
import { IdentityGroups, type ImageGroup, SingleImages } from './identityGroups.ts';
import { RetrievalMetrics } from './retrievalMetrics.ts';

/** What draws images of one kind together: see {@link supervisedContrastive}, {@link batchHardTriplet}, {@link infoNce}. */
export type RetrievalLoss = 'contrastive' | 'triplet' | 'info-nce';

/** Options of {@link imageRetrieval}. */
export interface ImageRetrievalOptions extends FeatureOptions, TaskDataOptions, ImageReading {
  /** `contrastive` by default. */
  readonly loss?: RetrievalLoss | undefined;
  /** What cosines are divided by; 0.1 by default. Not of triplets. */
  readonly temperature?: number | undefined;
  /** Of triplets: 0.2 by default. */
  readonly margin?: number | undefined;
  /** Images of one kind that are trained on together; 2 by default. A batch of 32 is then 32 pairs. */
  readonly perGroup?: number | undefined;
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
export function imageRetrieval(data: ImageSource, options: ImageRetrievalOptions = {}): Task<ImageGroup> {
  return { name: 'image-retrieval', prepare: (model) => prepare(model, data, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  {
    loss = 'contrastive',
    temperature = 0.1,
    margin = 0.2,
    perGroup = 2,
    augment = [],
    ...options
  }: ImageRetrievalOptions,
): Promise<PreparedTask<ImageGroup>> {
  checkOptions({ loss, perGroup });
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
  const train = new IdentityGroups({ ...training, images, perGroup, augmentations: augment, seed });
  const held = validating && new SingleImages({ ...validating, images });
  const collate = async (groups: readonly ImageGroup[]): Promise<Batch> => {
    const pixels = groups.flatMap((group) => group.pixels);
    checkBatch(model, features.input, pixels.length);
    const labels = groups.flatMap((group) => group.pixels.map(() => group.label));
    return {
      inputs: { [features.input.name]: stack(pixels) },
      targets: { labels: int64(labels, [labels.length]) },
    };
  };
  return {
    train,
    ...(held && { validation: held }),
    ...(data.warnings && { warnings: data.warnings }),
    outputs: features.inner,
    collate,
    loss: (g, outputs, targets) => {
      const embeddings = pooledValue(g, outputs, features);
      if (loss === 'triplet') return batchHardTriplet(g, embeddings, targets['labels']!, { margin });
      if (loss === 'contrastive') return supervisedContrastive(g, embeddings, targets['labels']!, { temperature });
      const [left, right] = pairs(embeddings).map((rows) => g.Gather(embeddings, g.ints(rows), 0)) as [Value, Value];
      return infoNce(g, left, right, { temperature });
    },
    metrics: () => new RetrievalMetrics(features),
    decode: (outputs) => decodeEmbeddings(outputs, features),
    report: (request) => {
      const shown = validating ?? training;
      const single = new SingleImages({ ...shown, images });
      return embeddingScatter({ images: single, labels: shown.labels, names, features, collate }, request);
    },
  };
}

/** Rows that stand first and second in their pairs. */
function pairs({ shape }: Value): [number[], number[]] {
  const rows = Number(shape![0]);
  const half = Array.from({ length: rows / 2 }, (_, i) => 2 * i);
  return [half, half.map((i) => i + 1)];
}

function checkOptions({ loss, perGroup }: { readonly loss: string; readonly perGroup: number }): void {
  if (!['contrastive', 'triplet', 'info-nce'].includes(loss)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no retrieval loss "${loss}". Take contrastive, triplet or info-nce.`,
    );
  }
  if (!Number.isInteger(perGroup) || perGroup < 2) {
    throw new OnnxLoraError('CONFIG_INVALID', `perGroup must be a whole number of at least 2, but it is ${perGroup}.`);
  }
  if (loss === 'info-nce' && perGroup !== 2) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The loss info-nce compares pairs, but perGroup is ${perGroup}. Leave perGroup out, or take the loss contrastive.`,
    );
  }
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
