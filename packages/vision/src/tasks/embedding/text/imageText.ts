/** @file Teaches a model of images and texts which caption belongs to which image. */

import { int64, OnnxLoraError, stack } from '@onnx-lora/sdk';
import {
  checkedTask,
  contrastive,
  infoNce,
  type Labelled,
  type PreparedTask,
  RecordDataset,
  sigmoidContrastive,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../../augment/augment.ts';
import { dataSettings } from '../../../data/dataSettings.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../../data/imageRecord.ts';
import { readImageData } from '../../../data/readImageData.ts';
import { type LoadedPixels, pixelLoading } from '../../classification/imageExamples.ts';
import type { ImageReading } from '../../imageReading.ts';
import { type ImageTask, imageTask } from '../../imageTask.ts';
import { ImageTextMetrics, type ImageTextScores } from './imageTextMetrics.ts';
import { openImageText, textFeeds, usualScale } from './imageTextPorts.ts';
import { rowLength } from './textTokenizer.ts';
import { zeroShotClassifier, type ZeroShotOptions } from './zeroShot.ts';

/** A caption. */
export interface Caption {
  /** Its token ids. */
  readonly ids: readonly number[];
  /** The same number for all captions of one image. */
  readonly image: number;
}

/** An image and its caption, ready to be fed. */
export type CaptionedImage = Labelled<LoadedPixels, Caption>;

/** Options of {@link imageText}. */
export interface ImageTextOptions extends ImageDataOptions, ImageReading {
  /** What is done to training images at random; nothing by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

const settings = settingsOf<ImageTextOptions & ZeroShotOptions>({
  augment: augmentSetting,
  ...dataSettings,
  labels: { kind: 'texts', description: 'To predict: what images may show, as cat,dog.' },
  template: {
    kind: 'text',
    description: 'To predict: the sentence around a label; "a photo of a {}." by default.',
  },
});

/**
 * Contrastive training on images with captions, as CLIP and SigLIP were trained: in a batch, each caption must find its image
 * and each image its caption. A batch in which two captions say the same punishes a right answer, so captions should differ.
 *
 * @example
 * const run = await train(model, { task: imageText('captions.csv', { validation: 0.1 }), batchSize: 64, lora: { r: 8 } });
 *
 * @param data a path, records or what {@link readImageData} gave; every image needs a `text`
 */
export function imageText(data: ImageSource, options: ImageTextOptions = {}): Task<CaptionedImage, ImageTextScores> {
  return checkedTask(settings, options, {
    name: 'image-text',
    prepare: (model) => prepare(model, data, options),
  });
}

/** The task `image-text`, which answers as zero-shot classifiers do. */
export const imageTextTask: ImageTask = imageTask({
  name: 'image-text',
  description: 'Which caption belongs to which image (CLIP, SigLIP); the data is a manifest of image and text.',
  settings,
  task: imageText,
  processor: async (model, { labels, template, decoder, preprocessors }) => {
    if (labels) return zeroShotClassifier(model, { decoder, preprocessors, labels, template });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'Nothing says what the images may show. Name the labels: --set labels=cat,dog.',
    );
  },
});

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { augment = [], ...options }: ImageTextOptions,
): Promise<PreparedTask<CaptionedImage, ImageTextScores>> {
  const { ports, images, tokenizer } = await openImageText(model, options);
  const data = await readImageData(source, options);
  const { seed = 0 } = options;
  const captioned = (
    records: readonly ImageRecord[],
    drawn: readonly Augmentation[],
  ): RecordDataset<ImageRecord, LoadedPixels, Caption> => {
    const numbers = new Map(records.map(({ file }, i) => [file, i]));
    const captions = records.map((record) => ({ ids: tokenizer.encode(captionOf(record)), image: numbers.get(record.file)! })); // prettier-ignore
    return new RecordDataset(records, captions, pixelLoading(images, drawn, seed));
  };
  const train = captioned(data.train, augment);
  const held = data.validation && captioned(data.validation, []);
  // Batches of one shape share one graph.
  const length = rowLength(tokenizer, [...train.targets, ...(held?.targets ?? [])].map(({ ids }) => ids)); // prettier-ignore
  return {
    train,
    ...(held && { validation: held }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(data.alsoFits && { alsoFits: data.alsoFits }),
    collate: (examples) =>
      Promise.resolve({
        inputs: {
          [ports.image.name]: stack(examples.map(({ pixels }) => pixels)),
          ...textFeeds(
            examples.map(({ target }) => target.ids),
            tokenizer,
            ports,
            length,
          ),
        },
        targets: {
          images: int64(
            examples.map(({ target }) => target.image),
            [examples.length],
          ),
        },
      }),
    loss: (g, outputs) => {
      const logits = ports.logits === undefined ? undefined : outputs[ports.logits]!;
      if (!logits) {
        const temperature = 1 / usualScale;
        return infoNce(g, outputs[ports.imageEmbeds]!, outputs[ports.textEmbeds]!, { temperature });
      }
      return ports.sigmoid ? sigmoidContrastive(g, logits) : contrastive(g, logits);
    },
    metrics: () => new ImageTextMetrics(ports),
  };
}

function captionOf({ text, place }: ImageRecord): string {
  if (text !== undefined && text.trim() !== '') return text;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the image has no caption. Give each image one: a manifest with the columns image and text.`,
  );
}
