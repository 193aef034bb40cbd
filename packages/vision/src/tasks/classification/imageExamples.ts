/** @file Examples of image tasks with classes, labels or numbers: data, feeds, and mistakes in reports. */

import { OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  type AnswerKind,
  type ClassAnswer,
  type Examples,
  type FoundAnswers,
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
import { type ImageSource, type ImageRecord, labelsOfRecord } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import type { ImageDecoder } from '../../image/image.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import { shrunk } from '../../report/overlay.ts';
import { webp } from '../../image/codec.ts';
import { type Features, featuresOf } from '../embedding/features.ts';
import { featureSections } from '../embedding/featureSections.ts';
import { checkBatch, attached, imagePorts } from '../imagePorts.ts';
import { imageLoading, type ImageTaskOptions, openImages } from '../imageTask.ts';

/** Options of classifiers. */
export interface ImageMixOptions extends MixOptions {
  /**
   * Compares the adapter in the report with k nearest neighbours and a linear probe on frozen features, see
   * {@link frozenBaselines}. False by default, since it takes another pass over the training images.
   */
  readonly baselines?: boolean | undefined;
}

/** A preprocessed image. */
export interface LoadedPixels {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
}

/** Longer edge of the report's pictures, and their number. */
const EDGE = 160;
const MISTAKES = 12;

/** The images of a source. */
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
        // Blended batches never repeat.
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

/** {@link imageLoading} with the labels that balance the draws. */
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

/** Features for the report. @throws OnnxLoraError `MODEL_UNSUPPORTED` if baselines need them and there are none */
function featuresIn(model: TaskModel, needed: boolean): Features | undefined {
  try {
    return featuresOf(model);
  } catch (error) {
    if (needed || !(error instanceof OnnxLoraError)) throw error;
    return undefined;
  }
}

function accuracyOf({ answers, truths }: Pick<FoundAnswers<never, never, never>, 'answers' | 'truths'>): number {
  const classes = answers.length / truths.length;
  const right = truths.filter(([truth], row) => {
    const own = answers.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own)) === truth;
  });
  return right.length / truths.length;
}

/** Pictures of mistakes; unreadable images are left out. */
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
