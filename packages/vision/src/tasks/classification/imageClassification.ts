/** @file Teaches and tests classifiers of images. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  accuracyOf,
  classifierParts,
  type ClassifierOptions,
  heldOutScores,
  type PreparedTask,
  type Task,
  type TaskModel,
  unknownLabel,
  type ClassificationScores,
} from '@onnx-lora/sdk/tasks';
import { telling, drawSeed } from '@onnx-lora/sdk/data';
import { mixBatch, oneHot } from '../../augment/mixBatch.ts';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { type Features, featuresOf } from '../embedding/features.ts';
import { featureSections } from '../embedding/featureSections.ts';
import { classificationReport } from './classificationReport.ts';
import type { ImageDataset, ImageExample } from './imageDataset.ts';
import { batchOf, type ImageTaskOptions, labelsOf, openImageTask } from './imageTask.ts';
import { headFor } from './taskHead.ts';

/** Options of {@link imageClassification}. */
export interface ImageClassificationOptions extends ImageTaskOptions, ClassifierOptions {
  /** Blends the images of a batch in pairs: alpha of MixUp's Beta distribution. */
  readonly mixUp?: number;
  /** Puts a rectangle of one image into another: alpha of CutMix's Beta distribution. */
  readonly cutMix?: number;
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
): Task<ImageExample<number>, ClassificationScores> {
  return { name: 'image-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  {
    labelSmoothing,
    classWeights,
    mixUp,
    cutMix,
    calibrate = false,
    baselines = false,
    ...options
  }: ImageClassificationOptions,
): Promise<PreparedTask<ImageExample<number>, ClassificationScores>> {
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const names = labelsOf(telling(data), data.root);
  const { output, labels, head } = headFor(model, ports, names, { root: data.root, mode: options.head ?? 'auto' });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const numberOf = (record: ImageRecord): number => {
    const label = labelOf(record);
    const number = numbers.get(label);
    if (number === undefined) throw unknownLabel(record.place, label, labels);
    return number;
  };
  const train = task.dataset(data.train, numberOf);
  const validation = data.validation && task.dataset(data.validation, numberOf);
  const mix = { ...(mixUp === undefined ? {} : { mixUp }), ...(cutMix === undefined ? {} : { cutMix }) };
  const isMixed = Object.keys(mix).length > 0;
  const features = featuresIn(model, baselines);

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
  const heldOut = validation && { dataset: validation, collate, truths: validation.targets };
  const { temperature, ...parts } = classifierParts({
    model,
    output,
    labels,
    targets: train.targets,
    validation: heldOut,
    noun: 'images',
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    classWeights,
    calibrate,
  });
  return {
    train: isMixed ? neverTheSame(train) : train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(head && { head }),
    ...(features && { outputs: features.inner }),
    collate,
    ...parts,
    ...(validation && {
      report: async (request) => {
        const scores = await heldOutScores(heldOut!, request, { output, labels });
        const { decoder, seed } = task;
        return [
          ...(await classificationReport({
            labels,
            validation,
            scores,
            decoder,
            ...(calibrate ? { temperature: temperature() } : {}),
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
    keyOf: (index) => dataset.keyOf(index),
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
