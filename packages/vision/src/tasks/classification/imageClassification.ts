/** @file Teaches and tests classifiers of images. */

import {
  crossEntropy,
  type Feeds,
  int64,
  OnnxLoraError,
  type Prediction,
  type PreparedTask,
  type Task,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import { drawSeed } from '../../augment/augment.ts';
import { mixBatch, oneHot } from '../../augment/mixBatch.ts';
import { classWeights } from '../../data/classBalance.ts';
import { listed } from '../../listed.ts';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { type Features, featuresOf } from '../embedding/features.ts';
import { featureSections } from '../embedding/featureSections.ts';
import { fitTemperature, temperatureOf } from './calibration.ts';
import { decodeClasses } from './classificationDecode.ts';
import { ClassificationMetrics } from './classificationMetrics.ts';
import { accuracyOf, classificationReport, heldOutScores } from './classificationReport.ts';
import type { ImageDataset, ImageExample } from './imageDataset.ts';
import { batchOf, type ImageTaskOptions, labelsOf, openImageTask } from './imageTask.ts';
import { headFor } from './taskHead.ts';

/** Options of {@link imageClassification}. */
export interface ImageClassificationOptions extends ImageTaskOptions {
  /** How much of a label is spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number;
  /**
   * How much each class counts in the loss: `balanced` gives all classes the same weight together, n / (classes · n of the
   * class), as scikit-learn does; `effective` goes less far, see {@link classWeights}; or a weight per label, 1 where a label
   * has none.
   */
  readonly classWeights?: 'balanced' | 'effective' | Readonly<Record<string, number>> | undefined;
  /** Blends the images of a batch in pairs: alpha of MixUp's Beta distribution. */
  readonly mixUp?: number;
  /** Puts a rectangle of one image into another: alpha of CutMix's Beta distribution. */
  readonly cutMix?: number;
  /** Fits a temperature on the held-out images, which is saved with the adapter, so that probabilities can be trusted. */
  readonly calibrate?: boolean;
  /**
   * The report compares the adapter with what needs no training of the model: k nearest neighbours and a linear probe on its
   * frozen features, see {@link frozenBaselines}. False by default, since every training image is looked at once more.
   */
  readonly baselines?: boolean;
}

/**
 * One class per image. `source` is a folder with a folder of images per class, or any other data that `readImageData` reads.
 * Where the model does not know the classes it gets a new head, which is trained in full and saved with the adapter. Needs
 * `preprocessor_config.json` in the model's folder. Targets are `{ labels: int64 [batch] }`; with MixUp or CutMix, training
 * has float32 `[batch, classes]`.
 *
 * @example
 * ```ts
 * const task = imageClassification('flowers', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function imageClassification(
  source: ImageSource,
  options: ImageClassificationOptions = {},
): Task<ImageExample<number>> {
  return { name: 'image-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { labelSmoothing = 0, mixUp, cutMix, calibrate = false, baselines = false, ...options }: ImageClassificationOptions,
): Promise<PreparedTask<ImageExample<number>>> {
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const names = labelsOf(data.train, data.root);
  const { output, labels, head } = headFor(model, ports, names, { root: data.root, mode: options.head ?? 'auto' });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const numberOf = (record: ImageRecord): number => numbers.get(labelOf(record)) ?? unknownLabel(record, labels);
  const train = task.dataset(data.train, numberOf);
  const validation = data.validation && task.dataset(data.validation, numberOf);
  if (calibrate && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'calibrate fits a temperature on held-out images, and none are held out. Hold some out (validation: 0.2), or leave calibrate out.',
    );
  }
  const weights = options.classWeights && weightsOf(options.classWeights, train.targets, labels);
  const mix = { ...(mixUp === undefined ? {} : { mixUp }), ...(cutMix === undefined ? {} : { cutMix }) };
  const isMixed = Object.keys(mix).length > 0;
  const features = featuresIn(model, baselines);
  let temperature = temperatureOf(model);

  const collate = async (examples: readonly ImageExample<number>[]): ReturnType<PreparedTask['collate']> => {
    const found = examples.map(({ target }) => target);
    const { inputs, targets } = batchOf(
      examples.map(({ pixels }) => pixels),
      { labels: int64(found, [found.length]) },
      ports,
      model,
    );
    const draw = examples[0]?.draw;
    if (!isMixed || draw === undefined) return { inputs, targets };
    const soft = { pixels: inputs[ports.input]!, labels: oneHot(found, labels.length) };
    const mixed = mixBatch(soft, mix, drawSeed(task.seed, draw));
    return { inputs: { [ports.input]: mixed.pixels }, targets: { labels: mixed.labels } };
  };
  return {
    train: isMixed ? neverTheSame(train) : train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(head && { head }),
    ...(features && { outputs: features.inner }),
    collate,
    loss: (g, outputs, targets) =>
      crossEntropy(g, outputs[output]!, targets['labels']!, { labelSmoothing, weight: weights }),
    lossWeight: (targets) => lossWeight(targets, weights),
    metrics: () =>
      new ClassificationMetrics({
        output,
        labels,
        present: [...train.targets, ...(validation?.targets ?? [])],
        temperature,
      }),
    decode: (outputs: Readonly<Record<string, Tensor>>): Prediction[] =>
      decodeClasses(outputs, output, labels, temperature),
    ...(calibrate && {
      finish: async (request) => {
        temperature = fitTemperature(await heldOutScores({ collate }, validation!, request, { output, labels }));
        return { temperature };
      },
    }),
    ...(validation && {
      report: async (request) => {
        const scores = await heldOutScores({ collate }, validation, request, { output, labels });
        const { decoder, seed } = task;
        return [
          ...(await classificationReport({
            labels,
            validation,
            scores,
            decoder,
            ...(calibrate ? { temperature } : {}),
          })),
          ...(features
            ? await featureSections(
                {
                  features,
                  names: labels,
                  collate,
                  train: { images: train, labels: train.targets },
                  validation: { images: validation, labels: validation.targets },
                  accuracy: baselines ? accuracyOf(scores) : undefined,
                  seed,
                },
                request,
              )
            : []),
        ];
      },
    }),
  };
}

/**
 * The model's features for the report; without baselines a model that has none only lacks the picture of them.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where baselines need them
 */
function featuresIn(model: TaskModel, needed: boolean): Features | undefined {
  try {
    return featuresOf(model);
  } catch (error) {
    if (needed || !(error instanceof OnnxLoraError)) throw error;
    return undefined;
  }
}

/** The same data, of which no batch comes twice. */
function neverTheSame(dataset: ImageDataset<number>): PreparedTask<ImageExample<number>>['train'] {
  return {
    length: dataset.length,
    weights: dataset.weights,
    get: (index, draw) => dataset.get(index, draw),
    nameOf: (index) => dataset.nameOf(index),
  };
}

function labelOf({ label, labels, place }: ImageRecord): string {
  const only = label ?? (labels?.length === 1 ? labels[0] : undefined);
  if (only !== undefined) return only;
  throw new OnnxLoraError(
    'DATA_INVALID',
    labels && labels.length > 1
      ? `${place} has ${labels.length} labels (${labels.slice(0, 5).join(', ')}), and image classification gives one per image. Take the task multi-label-classification.`
      : `${place} has no label. Give it one, or leave the image out.`,
  );
}

function unknownLabel({ label, place }: ImageRecord, labels: readonly string[]): never {
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place} is held out with the class "${label}", which is none of those that are trained on: ${listed(labels, 20)}. Rename it, or remove it.`,
  );
}

/**
 * A weight per class.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a weight that is no number above 0, or of a label that there is not
 */
function weightsOf(
  given: NonNullable<ImageClassificationOptions['classWeights']>,
  targets: readonly number[],
  labels: readonly string[],
): readonly number[] {
  if (typeof given === 'string') {
    const counts = labels.map(() => 0);
    for (const target of targets) counts[target]!++;
    return classWeights(counts, given);
  }
  const wrong = Object.entries(given).find(([label, weight]) => !labels.includes(label) || !(weight > 0 && weight < Infinity)); // prettier-ignore
  if (wrong) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `classWeights gives "${wrong[0]}" the weight ${wrong[1]}. Weights are numbers above 0, of the classes ${listed(labels, 20)}.`,
    );
  }
  // A class may be called constructor.
  return labels.map((label) => (Object.hasOwn(given, label) ? given[label]! : 1));
}

/** What the mean of a part of a batch counts: its number of images, or the weights of their classes together. */
function lossWeight({ labels }: Feeds, weights: readonly number[] | undefined): number {
  const { data, dims } = labels!;
  if (!weights || !(data instanceof BigInt64Array)) return dims[0]!;
  return Array.from(data, (label) => weights[Number(label)]!).reduce((a, b) => a + b, 0);
}
