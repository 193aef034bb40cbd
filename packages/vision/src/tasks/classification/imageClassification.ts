/** @file Teaches and tests classifiers on folders of images. */

import {
  crossEntropy,
  int64,
  OnnxLoraError,
  type Prediction,
  type PreparedTask,
  type PreprocessorFactory,
  stack,
  type Task,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import { CachedPreprocessor } from '../../preprocess/cachedPreprocessor.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { type ClassFolders, type LabelledFile, readClassFolders, readImageFolder } from '../../data/imageFolder.ts';
import { matchLabels } from '../modelLabels.ts';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { inOtherThreads } from '../../preprocess/threadedPreprocessor.ts';
import { decodeClasses } from './classificationDecode.ts';
import { ClassificationMetrics } from './classificationMetrics.ts';
import { type ImageExample, ImageDataset } from './imageDataset.ts';
import { checkImageSize, classifierPorts, type ClassifierPorts } from './imagePorts.ts';
import { stratifiedSplit } from '../../data/stratifiedSplit.ts';

/** Options of {@link imageClassification}. */
export interface ImageClassificationOptions {
  /**
   * Data held out for evaluation: the path of another folder of class folders, or a fraction between 0 and 1 of every
   * class. Without it, the folder's own `validation`, `val` or `test` is taken, where it has a `train` too.
   */
  readonly validation?: string | number;
  /** Seed of the split by fraction; 0 by default. */
  readonly seed?: number;
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
  /** Most bytes of preprocessed images that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number;
}

/**
 * Image classification on `folder`, which holds a folder of images per class; see {@link readImageFolder} for what it
 * may look like. Needs `preprocessor_config.json` in the model's folder. Targets are `{ labels: int64 [batch] }`.
 *
 * @example
 * ```ts
 * const task = imageClassification('flowers', { validation: 0.2 });
 * const { adapter } = await train(model, { task }).done;
 * ```
 */
export function imageClassification(folder: string, options: ImageClassificationOptions = {}): Task<ImageExample> {
  return { name: 'image-classification', prepare: (model) => prepare(model, folder, options) };
}

async function prepare(
  model: TaskModel,
  folder: string,
  {
    validation,
    seed = 0,
    decoder = new SharpDecoder(),
    preprocessors = [new ImagePreprocessorFactory(decoder)],
    cacheBytes = 512 * 1024 * 1024,
  }: ImageClassificationOptions,
): Promise<PreparedTask<ImageExample>> {
  const ports = classifierPorts(model);
  const { preprocessor, path } = await preprocessorOf(model, preprocessors);
  if (preprocessor instanceof ImagePreprocessor) checkImageSize(model, ports.input, preprocessor.outputSize, path);

  const data = await readData(folder, validation, seed);
  const labels = matchLabels(model, data.train.classes, ports.classes, data.train.root);
  if (data.validation) checkValidationClasses(data.validation, data.train, labels);
  const cached = new CachedPreprocessor(inOtherThreads(preprocessor), cacheBytes);
  const train = new ImageDataset(data.train.files, labels, cached);
  const held = data.validation && new ImageDataset(data.validation.files, labels, cached);
  return {
    train,
    ...(held && { validation: held }),
    collate: (examples) => collate(examples, ports, model),
    loss: (g, outputs, targets) => crossEntropy(g, outputs[ports.output]!, targets['labels']!),
    lossWeight: ({ labels }) => labels!.data.length,
    metrics: () => new ClassificationMetrics({ output: ports.output, labels, present: train.present }),
    decode: (outputs: Readonly<Record<string, Tensor>>): Prediction[] => decodeClasses(outputs, ports.output, labels),
  };
}

async function readData(
  folder: string,
  validation: string | number | undefined,
  seed: number,
): Promise<{ train: ClassFolders; validation?: ClassFolders }> {
  if (typeof validation === 'number' && !(validation > 0 && validation < 1)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The validation fraction must lie between 0 and 1, but is ${validation}. Give a fraction such as 0.2, or the path of a folder.`,
    );
  }
  const data = await readImageFolder(folder);
  if (validation === undefined) return data;
  if (typeof validation === 'string') {
    return { train: data.train, validation: await readClassFolders(validation, { fewestClasses: 1 }) };
  }
  const { root, classes, files } = data.train;
  const split = stratifiedSplit(
    files.map(({ className }) => className),
    validation,
    seed,
  );
  if (split.held.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `No class of "${root}" has two images, so none can be held out for validation. Add images, or give another folder for validation.`,
    );
  }
  const pick = (indices: readonly number[]): LabelledFile[] => indices.map((i) => files[i]!);
  return { train: { root, classes, files: pick(split.kept) }, validation: { root, classes, files: pick(split.held) } };
}

function checkValidationClasses(validation: ClassFolders, train: ClassFolders, labels: readonly string[]): void {
  const strange = validation.classes.filter((name) => !labels.includes(name));
  if (strange.length === 0) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${validation.root}" has the class folder "${strange[0]}", which "${train.root}" and the model do not know. Rename it, or remove it.`,
  );
}

async function collate(
  examples: readonly ImageExample[],
  { input, batch }: ClassifierPorts,
  model: TaskModel,
): ReturnType<PreparedTask['collate']> {
  if (batch !== undefined && examples.length !== batch) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${model.name}" takes batches of exactly ${batch}, but this one has ${examples.length}. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
    );
  }
  return {
    inputs: { [input]: stack(examples.map(({ pixels }) => pixels)) },
    targets: {
      labels: int64(
        examples.map(({ label }) => label),
        [examples.length],
      ),
    },
  };
}
