/** @file Teaches and tests models that answer about whole images: with a class, with labels, or with numbers. */

import {
  classification,
  type ClassificationScores,
  type ClassifierOptions,
  type Labelled,
  labelling,
  type LabellingOptions,
  type LabelVector,
  type MultiLabelScores,
  regression,
  type RegressionOptions,
  type RegressionScores,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type { ImageSource } from '../../data/imageRecord.ts';
import { imageExamples, type ImageTaskOptions, type LoadedPixels } from './imageExamples.ts';

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
 * Needs `preprocessor_config.json` in the model's folder. With MixUp or CutMix, targets of training are float32
 * `[batch, classes]`. Heads, metrics and errors are those of `classification`.
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
): Task<Labelled<LoadedPixels, number>, ClassificationScores> {
  return classification('image-classification', imageExamples(source, options), options);
}

/** Options of {@link multiLabelClassification}. */
export interface MultiLabelOptions extends ImageTaskOptions, LabellingOptions {}

/**
 * Any number of labels per image, of a manifest with a column `labels`, or a column of zeros and ones for each. Needs
 * `preprocessor_config.json` in the model's folder. Heads, metrics and errors are those of `labelling`.
 *
 * @example
 * ```ts
 * const task = multiLabelClassification('scenes/labels.csv', { validation: 0.2, threshold: 'tuned' });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function multiLabelClassification(
  source: ImageSource,
  options: MultiLabelOptions = {},
): Task<Labelled<LoadedPixels, LabelVector>, MultiLabelScores> {
  return labelling('multi-label-classification', imageExamples(source, options), options);
}

/** Options of {@link imageRegression}. */
export interface ImageRegressionOptions extends ImageTaskOptions, RegressionOptions {}

/**
 * One or several numbers per image, of a manifest with columns of values. Needs `preprocessor_config.json` in the model's folder.
 * Heads, units, metrics and errors are those of `regression`.
 *
 * @example
 * ```ts
 * const task = imageRegression('faces/ages.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function imageRegression(
  source: ImageSource,
  options: ImageRegressionOptions = {},
): Task<Labelled<LoadedPixels, readonly number[]>, RegressionScores> {
  return regression('image-regression', imageExamples(source, options), options);
}
