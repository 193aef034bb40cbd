/** @file The task `image-text`: contrastive training on images with captions, and its scores. */

import { int64, OnnxLoraError, stack, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { settingsOf } from '@onnx-lora/sdk/plugin';
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
  bootstrapDraws,
  type Draws,
  drawsFor,
  joinRows,
  type LabelledMatrix,
  matrixOf,
  meanMeasure,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
  takeRows,
  type QueryScores,
  scoresByQuery,
} from '@onnx-lora/sdk/tasks';
import { type Augmentation, augmentSetting } from '../../../augment/augment.ts';
import { dataSettings } from '../../../data/manifest.ts';
import type { ImageDataOptions, ImageRecord, ImageSource } from '../../../data/imageRecord.ts';
import { readImageData } from '../../../data/readImageData.ts';
import { type LoadedPixels, pixelLoading } from '../../classification/imageExamples.ts';
import { type ImageReading, type ImageTask, imageTask } from '../../imageTask.ts';
import { openImageText, textFeeds, usualScale, type ImageTextPorts } from './imageTextPorts.ts';
import { rowLength } from './textTokenizer.ts';
import { zeroShotClassifier, type ZeroShotOptions } from './zeroShot.ts';

/** A caption. */
export interface Caption {
  /** Its token ids. */
  readonly ids: readonly number[];
  /** The image's number, common to its captions. */
  readonly image: number;
}

/** A preprocessed image with its caption. */
export type CaptionedImage = Labelled<LoadedPixels, Caption>;

/** Options of {@link imageText}. */
export interface ImageTextOptions extends ImageDataOptions, ImageReading {
  /** Augmentations of training images; none by default. */
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
 * Contrastive training on images with captions, like CLIP and SigLIP: within a batch, captions and images must find
 * each other. Captions should differ, since equal ones in a batch penalise a right answer.
 * @example
 * const run = await train(model, { task: imageText('captions.csv', { validation: 0.1 }), batchSize: 64, lora: { r: 8 } });
 * @param data a path, records or what {@link readImageData} gave; every image needs a `text`
 */
export function imageText(data: ImageSource, options: ImageTextOptions = {}): Task<CaptionedImage, ImageTextScores> {
  return checkedTask(settings, options, {
    name: 'image-text',
    prepare: (model) => prepare(model, data, options),
  });
}

/** The task `image-text`, which predicts as a zero-shot classifier. */
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

/** Recall at k in both directions. */
export type ImageTextScores = MetricsNamed<`${'imageToText' | 'textToImage'}@${1 | 5 | 10}`>;

/** Collects both embeddings. Targets are `{ images: int64 [batch] }`, with one number per image. */
export class ImageTextMetrics implements MetricCollector<ImageTextScores> {
  readonly #ports: ImageTextPorts;
  readonly #images: Tensor[] = [];
  readonly #texts: Tensor[] = [];
  readonly #numbers: number[] = [];

  constructor(ports: ImageTextPorts) {
    this.#ports = ports;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#images.push(outputs[this.#ports.imageEmbeds]!);
    this.#texts.push(outputs[this.#ports.textEmbeds]!);
    for (const image of targets['images']!.data) this.#numbers.push(Number(image));
  }

  /**
   * `imageToText@k`: share of images with one of their captions among the first k; `textToImage@k`: share of captions
   * with their image among the first k; k is 1, 5, 10.
   */
  result(): ImageTextScores {
    return this.#measure().measure();
  }

  /** The scores on resampled images with their captions, against the same candidates. */
  draws(): Draws {
    const { measure, images } = this.#measure();
    return bootstrapDraws(measure, images, { samples: drawsFor(this.#numbers.length) });
  }

  #measure(): { readonly measure: Measure<ImageTextScores>; readonly images: number } {
    const texts: LabelledMatrix = { embeddings: matrixOf(joinRows(this.#texts)), labels: this.#numbers };
    const firsts = this.#numbers.flatMap((image, i) => (this.#numbers.indexOf(image) === i ? [i] : []));
    const labels = firsts.map((i) => this.#numbers[i]!);
    const images: LabelledMatrix = { embeddings: takeRows(matrixOf(joinRows(this.#images)), firsts), labels };
    const places = this.#numbers.map((image) => labels.indexOf(image));
    const toText = meanMeasure(recalls('imageToText', scoresByQuery(images, texts)));
    const toImage = meanMeasure(recalls('textToImage', scoresByQuery(texts, images)));
    return {
      measure: (times) => ({ ...toText(times), ...toImage(times && places.map((place) => times[place]!)) }),
      images: firsts.length,
    };
  }
}

function recalls<Name extends string>(
  name: Name,
  { values }: QueryScores,
): Readonly<Record<`${Name}@${1 | 5 | 10}`, readonly number[]>> {
  const renamed = ([1, 5, 10] as const).map((k) => [`${name}@${k}`, values[`recall@${k}`]]);
  return Object.fromEntries(renamed) as ReturnType<typeof recalls<Name>>;
}
