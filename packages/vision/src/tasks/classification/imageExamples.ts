/** @file Images as tasks with classes, labels or numbers take them: how they are read, fed and shown. */

import { OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  type AnswerKind,
  type ClassAnswer,
  type Examples,
  type FoundAnswers,
  type HeadOption,
  mistakeCaption,
  type OpenedExamples,
  RecordDataset,
  type RecordLoading,
  type ReportSection,
  type ShownMistakes,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { drawSeed, nameOfRecord } from '@onnx-lora/sdk/data';
import type { Augmentation } from '../../augment/augment.ts';
import { mixBatch, type MixOptions, oneHot } from '../../augment/mixBatch.ts';
import { type ImageSource, type ImageRecord, labelsOfRecord, type ImageDataOptions } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import type { ImageDecoder } from '../../image/image.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import { shrunk, webp } from '../../report/overlay.ts';
import { type Features, featuresOf } from '../embedding/features.ts';
import { featureSections } from '../embedding/featureSections.ts';
import { checkBatch } from '../imagePort.ts';
import { imageLoading, type ImageReading, openImages } from '../imageReading.ts';
import { attached, imagePorts } from './imagePorts.ts';

/** Options of every task with one answer per image. */
export interface ImageTaskOptions extends ImageDataOptions, ImageReading, HeadOption {
  /** What is done at random to each image that is trained on; nothing by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

/** Options of classifiers alone. */
export interface ImageMixOptions extends MixOptions {
  /** Compare with what needs no training of the model. */
  readonly baselines?: boolean | undefined;
}

/** One image, ready to be fed. */
export interface LoadedPixels {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
}

/** Longer edge of a picture of the report, and how many there are. */
const EDGE = 160;
const MISTAKES = 12;

/** The images of a folder, a manifest, or whatever else `readImageData` reads. */
export function imageExamples(
  source: ImageSource,
  { augment = [], mixUp, cutMix, baselines = false, ...options }: ImageTaskOptions & ImageMixOptions,
): Examples<LoadedPixels, ImageRecord> {
  const root = typeof source === 'string' ? source : 'the data';
  const mix = { ...(mixUp !== undefined && { mixUp }), ...(cutMix !== undefined && { cutMix }) };
  const isMixed = Object.keys(mix).length > 0;
  const { seed = 0 } = options;
  const open = async (model: TaskModel, kind: AnswerKind): Promise<OpenedExamples<LoadedPixels, ImageRecord>> => {
    const { input, head, ...port } = imagePorts(model);
    const { images: loader, decoder } = await openImages(model, input, options);
    const data = await readImageData(source, options);
    const features = kind === 'classes' ? featuresIn(model, baselines) : undefined;
    return {
      data,
      known: (record) => ({ place: record.place, labels: labelsOfRecord(record), values: record.values }),
      own: head,
      attach: attached,
      dataset: (records, targets, isTrained) => {
        const loading = pixelLoading(loader, augment, seed);
        // Of examples that are blended no batch comes twice.
        return new RecordDataset(records, targets, isTrained && isMixed ? { ...loading, isDeterministic: false } : loading); // prettier-ignore
      },
      feeds: (examples) => {
        checkBatch(model, port, examples.length);
        return { [input]: stack(examples.map(({ pixels }) => pixels)) };
      },
      ...(isMixed && {
        blend: (inputs, classes, count, draw) => {
          const soft = { pixels: inputs[input]!, labels: oneHot(classes, count) };
          const { pixels, labels } = mixBatch(soft, mix, drawSeed(seed, draw));
          return { inputs: { [input]: pixels }, targets: { labels } };
        },
      }),
      ...(features && {
        outputs: features.inner,
        sections: async (found, request) => {
          const { labels, train, validation, collate, numbersOf } = found;
          const part = (images: typeof train) => ({ images, labels: images.targets.map((target) => numbersOf(target)[0]!) }); // prettier-ignore
          const accuracy = baselines ? accuracyOf(found) : undefined;
          return {
            last: await featureSections(
              { features, names: labels, collate, train: part(train), validation: part(validation), accuracy, seed },
              request,
            ),
          };
        },
      }),
      mistakes: (worst, shown) => gallery(worst.slice(0, MISTAKES), shown, decoder),
    };
  };
  return { noun: 'images', one: 'image', root, tagging: 'multi-label-classification', open };
}

/** How images are loaded whose labels say how often each is drawn; see {@link imageLoading}. */
export function pixelLoading(
  loader: ImageLoader,
  augment: readonly Augmentation[],
  seed: number,
): RecordLoading<ImageRecord, LoadedPixels> {
  return {
    ...imageLoading(loader, augment, seed, ({ pixels }, { file }) => ({ file, pixels })),
    labelsOf: (record) => (record.label === undefined && !record.labels ? undefined : labelsOfRecord(record)),
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

/** The share of records whose likeliest class is theirs. */
function accuracyOf({ answers, truths }: Pick<FoundAnswers<never, never, never>, 'answers' | 'truths'>): number {
  const classes = answers.length / truths.length;
  const right = truths.filter(([truth], row) => {
    const own = answers.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own)) === truth;
  });
  return right.length / truths.length;
}

/** Mistakes as pictures. Images that cannot be read any more are left out. */
async function gallery(
  worst: readonly ClassAnswer[],
  { labels, records, text }: ShownMistakes<ImageRecord>,
  decoder: ImageDecoder,
): Promise<ReportSection | undefined> {
  const all = await Promise.all(
    worst.map(async (answer) => {
      const name = nameOfRecord(records[answer.index]!);
      const caption = mistakeCaption(answer, labels);
      try {
        const image = await webp(shrunk(await decoder.decode(records[answer.index]!.file), EDGE));
        return [{ image, alt: `${name}: ${caption}`, caption }];
      } catch {
        return [];
      }
    }),
  );
  const pictures = all.flat();
  return pictures.length > 0 ? { kind: 'gallery', title: 'Worst mistakes', text, pictures } : undefined;
}
