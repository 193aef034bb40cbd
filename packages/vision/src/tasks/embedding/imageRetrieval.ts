/** @file Retrieval of images of the same kind: metric learning and its scores. */

import { OnnxLoraError, stack } from '@onnx-lora/sdk';
import {
  checkedTask,
  hasPositivePair,
  type KindData,
  type KindGroup,
  type RetrievalLossOptions,
  type RetrievalScores,
  retrievalSettings,
  retrievalTask,
  type Task,
  type Labelled,
  RecordDataset,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/manifest.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import { type LoadedPixels, pixelLoading } from '../classification/imageExamples.ts';
import { checkBatch } from '../imagePorts.ts';
import { type ImageReading, type ImageTask, imageTask } from '../imageTask.ts';
import { featureSettings, imageEmbedder } from './imageEmbedder.ts';
import { type FeatureOptions, imageRows, imageValue, openFeatures } from './features.ts';

/** Images of one kind. */
export type ImageGroup = KindGroup<Labelled<LoadedPixels, string>>;

/** Options of {@link imageRetrieval}. */
export interface ImageRetrievalOptions extends FeatureOptions, ImageDataOptions, ImageReading, RetrievalLossOptions {
  /** Augmentations of training images; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

const settings = settingsOf<ImageRetrievalOptions>({
  ...featureSettings,
  ...retrievalSettings('Images of one label'),
  augment: augmentSetting,
  ...dataSettings,
});

/**
 * Metric learning on labelled images: embeddings of one label move together, others apart. An example is a group of
 * `perGroup` images of one label, so a batch of 32 examples has 64 images. Held-out images, also of unseen labels,
 * search each other.
 * @example
 * const run = await train(model, { task: imageRetrieval('products', { validation: 0.2 }), lora: { r: 8 } });
 * @param data a path, records or what {@link readImageData} gave; every image needs a label
 */
export function imageRetrieval(
  data: ImageSource,
  options: ImageRetrievalOptions = {},
): Task<ImageGroup, RetrievalScores> {
  const { loss, temperature, margin, perGroup, sizes, augment = [], ...reading } = options;
  const own = { loss, temperature, margin, perGroup, sizes, seed: options.seed };
  const request = { name: 'image-retrieval', noun: 'images', ...own };
  const task = retrievalTask<Labelled<LoadedPixels, string>>(request, async (model) => {
    const { features, images } = await openFeatures(model, reading);
    const canMeasure = (held: readonly ImageRecord[]): boolean => hasPositivePair(held.map(({ label }) => label));
    const { root, train, validation, warnings } = await readImageData(data, { ...reading, canMeasure });
    const kindsOf = (
      records: readonly ImageRecord[],
      drawn: readonly Augmentation[],
    ): KindData<Labelled<LoadedPixels, string>> => {
      const kinds = records.map(labelOf);
      return { kinds, dataset: new RecordDataset(records, kinds, pixelLoading(images, drawn, options.seed ?? 0)) }; // prettier-ignore
    };
    return {
      train: kindsOf(train, augment),
      validation: validation && kindsOf(validation, []),
      place: root,
      isAugmented: augment.length > 0,
      ...(warnings && { warnings }),
      outputs: features.inner,
      batch: (items) => {
        checkBatch(model, features.input, items.length);
        return { inputs: { [features.input.name]: stack(items.map(({ pixels }) => pixels)) }, targets: {} };
      },
      embeddingsOf: (outputs) => imageRows(outputs, features),
      embeddingValue: (g, outputs) => imageValue(g, outputs, features),
    };
  });
  return checkedTask(settings, options, task);
}

/** The task `image-retrieval`, which predicts embeddings. */
export const imageRetrievalTask: ImageTask = imageTask({
  name: 'image-retrieval',
  description: 'Embeddings in which images of one label lie together; the data is as for image-classification.',
  settings,
  task: imageRetrieval,
  processor: (model, { output, pooling, decoder, preprocessors }) =>
    imageEmbedder(model, { output, pooling, decoder, preprocessors }),
});

function labelOf({ label, place }: ImageRecord): string {
  if (label !== undefined) return label;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the image has no label, so nothing says which images show the same. Give each image a label, or put images into a folder for each label.`,
  );
}
