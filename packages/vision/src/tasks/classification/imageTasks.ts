/** @file Tasks on whole images: classification, multi-label classification and regression. */

import {
  type AnswerKind,
  checkedTask,
  classification,
  type ClassificationScores,
  type ClassifierOptions,
  classifierSettings,
  headDecoder,
  type Labelled,
  labelling,
  type LabellingOptions,
  labellingSettings,
  type LabelVector,
  type MultiLabelScores,
  type OutputProcessor,
  regression,
  type RegressionOptions,
  type RegressionScores,
  regressionSettings,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import type { ImageSource } from '../../data/imageRecord.ts';
import {
  imageFeeds,
  type ImageReading,
  openImages,
  imageSettings,
  type ImageTask,
  imageTask,
  type ImageTaskOptions,
} from '../imageTask.ts';
import { imageExamples, type ImageMixOptions, type LoadedPixels } from './imageExamples.ts';
import { headPorts } from '../imagePorts.ts';

/** Options of {@link imageClassification}. */
export interface ImageClassificationOptions extends ImageTaskOptions, ClassifierOptions, ImageMixOptions {}

const classSettings = settingsOf<ImageClassificationOptions>({
  ...imageSettings,
  ...classifierSettings('images'),
  mixUp: { kind: 'number', above: 0, description: 'Blends images in pairs: alpha of MixUp, such as 0.2.' },
  cutMix: { kind: 'number', above: 0, description: 'Puts parts of images into others: alpha of CutMix, such as 1.' },
  baselines: {
    kind: 'flag',
    description: 'Shows k nearest neighbours and a linear probe on frozen features beside the adapter.',
  },
});

/**
 * Classification: one class per image. `source` is a folder with a folder of images per class, or other data of
 * `readImageData`. Needs `preprocessor_config.json` in the model's folder. With MixUp or CutMix, training targets are
 * float32 `[batch, classes]`. Heads, metrics and errors are those of `classification`.
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
  const task = classification('image-classification', imageExamples(source, options), options);
  return checkedTask(classSettings, options, task);
}

/** The task `image-classification`. */
export const imageClassificationTask: ImageTask = imageTask({
  name: 'image-classification',
  description: 'One class per image; the data is a folder with a folder of images for each class, or a manifest.',
  settings: classSettings,
  task: imageClassification,
  processor: (model, tools) => imageClassifier(model, tools),
});

/** Options of {@link multiLabelClassification}. */
export interface MultiLabelOptions extends ImageTaskOptions, LabellingOptions {}

const labelSettings = settingsOf<MultiLabelOptions>({ ...imageSettings, ...labellingSettings });

/**
 * Multi-label classification. `source` is a manifest with a column `labels`, or a column of zeros and ones per label.
 * Needs `preprocessor_config.json` in the model's folder. Heads, metrics and errors are those of `labelling`.
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
  const task = labelling('multi-label-classification', imageExamples(source, options), options);
  return checkedTask(labelSettings, options, task);
}

/** The task `multi-label-classification`. */
export const multiLabelTask: ImageTask = imageTask({
  name: 'multi-label-classification',
  description: 'Any number of labels per image; the data is a manifest with labels, or a column of 0 and 1 for each.',
  settings: labelSettings,
  task: multiLabelClassification,
  processor: (model, tools) => imageProcessor(model, tools, 'labels'),
});

/** Options of {@link imageRegression}. */
export interface ImageRegressionOptions extends ImageTaskOptions, RegressionOptions {}

const numberSettings = settingsOf<ImageRegressionOptions>({ ...imageSettings, ...regressionSettings });

/**
 * Regression of one or several numbers per image. `source` is a manifest with columns of values. Needs
 * `preprocessor_config.json` in the model's folder. Heads, units, metrics and errors are those of `regression`.
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
  const task = regression('image-regression', imageExamples(source, options), options);
  return checkedTask(numberSettings, options, task);
}

/** The task `image-regression`. */
export const imageRegressionTask: ImageTask = imageTask({
  name: 'image-regression',
  description: 'Numbers about each image; the data is a manifest with columns of values.',
  settings: numberSettings,
  task: imageRegression,
  processor: (model, tools) => imageProcessor(model, tools, 'numbers'),
});

/**
 * A processor from image files to feeds and from outputs to labels. Needs `preprocessor_config.json` in the model's
 * folder. Put an adapter with its own labels or head into the model first: `modelForAdapter(model, adapter)`.
 * @example
 * ```ts
 * const classifier = await imageClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['a.png', 'b.png']), { adapter: 'rotated' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` for a model that is no image classifier; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export function imageClassifier(model: TaskModel, options: ImageProcessorOptions = {}): Promise<OutputProcessor> {
  return imageProcessor(model, options, 'classes');
}

/** Options of processors. */
export type ImageProcessorOptions = Pick<ImageReading, 'decoder' | 'preprocessors'>;

/** A processor for a kind of answer. @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED` */
async function imageProcessor(
  model: TaskModel,
  options: ImageProcessorOptions,
  kind: AnswerKind,
): Promise<OutputProcessor> {
  const { input, head, ...port } = headPorts(model);
  const { images } = await openImages(model, input, { ...options, cacheBytes: 0 });
  return { feeds: imageFeeds(model, { name: input, ...port }, images), decode: headDecoder(model, head, kind) };
}
