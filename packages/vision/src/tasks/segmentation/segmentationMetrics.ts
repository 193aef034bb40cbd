/** @file What is measured of class maps. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Draws,
  drawsFor,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import type { Mask } from '../../augment/sample.ts';
import { boundaryF, PixelConfusion } from '../../metrics/maskMetrics.ts';
import { classMap, scoresOf } from './classMap.ts';
import { IGNORED } from './segmentationLoss.ts';

/** What a collector must know of the task. */
export interface SegmentationMetricsOptions {
  /** Name of the graph output `[batch, classes, rows, columns]`. */
  readonly output: string;
  readonly labels: readonly string[];
}

/** What is measured of segmented images. */
export type SegmentationScores = MetricsNamed<'meanIou' | 'dice' | 'pixelAccuracy' | 'boundaryF'>;

interface ImageCounts {
  /** Pixels of each class that are, that were found, and that are both. */
  readonly classes: readonly { readonly c: number; readonly pixels: number; readonly found: number; readonly both: number }[]; // prettier-ignore
  /** The sum of boundary F over the classes that are there, and how many these are. */
  readonly boundary: number;
  readonly outlines: number;
}

/** Sums up batches. Targets are `{ labels: int64 [batch, height, width] }`; scores are resized to them. */
export class SegmentationMetrics implements MetricCollector<SegmentationScores> {
  readonly #output: string;
  readonly #labels: readonly string[];
  readonly #confusion: PixelConfusion;
  /** By image: its classes with their pixels, and how well their outlines are met. */
  readonly #images: ImageCounts[] = [];

  constructor({ output, labels }: SegmentationMetricsOptions) {
    this.#output = output;
    this.#labels = labels;
    this.#confusion = new PixelConfusion(labels.length);
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const scores = scoresOf(checkedScores(outputs, this.#output, this.#labels.length));
    const truths = classMapsOf(targets, scores.length);
    scores.forEach((each, i) => this.#add(classMap(each, truths[i]!), truths[i]!));
  }

  #add(found: Mask, truth: Mask): void {
    this.#confusion.add(truth.data, found.data);
    const classes = new Map<number, { pixels: number; found: number; both: number }>();
    const of = (c: number): { pixels: number; found: number; both: number } => {
      const known = classes.get(c) ?? { pixels: 0, found: 0, both: 0 };
      classes.set(c, known);
      return known;
    };
    for (let i = 0; i < truth.data.length; i++) {
      const c = truth.data[i]!;
      if (c >= this.#labels.length) continue;
      of(c).pixels++;
      of(found.data[i]!).found++;
      if (c === found.data[i]) of(c).both++;
    }
    let [boundary, outlines] = [0, 0];
    for (const c of new Set(truth.data)) {
      if (c === IGNORED) continue;
      boundary += boundaryF(only(found, c, truth), only(truth, c, truth));
      outlines++;
    }
    this.#images.push({ classes: [...classes].map(([c, counts]) => ({ c, ...counts })), boundary, outlines });
  }

  /**
   * `meanIou` and `dice`, means over the classes that occur or were found, from the pixels of all images; `pixelAccuracy`; and
   * `boundaryF`, the mean over each image's classes. All are NaN before the first image.
   */
  result(): SegmentationScores {
    return this.#measure();
  }

  /** The same on sets of images. */
  draws(): Draws {
    const cells = this.#images.reduce((sum, { classes }) => sum + classes.length, 0);
    return bootstrapDraws(this.#measure, this.#images.length, { samples: drawsFor(cells) });
  }

  readonly #measure: Measure<SegmentationScores> = (times) => {
    const [pixels, found, both] = [0, 0, 0].map(() => new Float64Array(this.#labels.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    let [boundary, outlines] = [0, 0];
    this.#images.forEach((image, i) => {
      const weight = times ? times[i]! : 1;
      boundary += weight * image.boundary;
      outlines += weight * image.outlines;
      for (const each of image.classes) {
        pixels[each.c]! += weight * each.pixels;
        found[each.c]! += weight * each.found;
        both[each.c]! += weight * each.both;
      }
    });
    let [iou, dice, classes, all, right] = [0, 0, 0, 0, 0];
    for (let c = 0; c < pixels.length; c++) {
      const sum = pixels[c]! + found[c]!;
      if (sum === 0) continue;
      classes++;
      iou += both[c]! / (sum - both[c]!);
      dice += (2 * both[c]!) / sum;
      all += pixels[c]!;
      right += both[c]!;
    }
    return {
      meanIou: iou / classes,
      dice: dice / classes,
      pixelAccuracy: right / all,
      boundaryF: boundary / outlines,
    };
  };

  /** In pixels, of the classes that occur or were found. */
  confusion(): { labels: readonly string[]; counts: readonly (readonly number[])[] } {
    const seen = this.#confusion.perClass().flatMap(({ iou }, c) => (Number.isNaN(iou) ? [] : [c]));
    return {
      labels: seen.map((c) => this.#labels[c]!),
      counts: seen.map((truth) => seen.map((found) => this.#confusion.count(truth, found))),
    };
  }
}

/** Ones where `mask` has the class; pixels that do not count are left out of both. */
function only({ width, height, data }: Mask, c: number, truth: Mask): Mask {
  return { width, height, data: data.map((each, i) => (each === c && truth.data[i] !== IGNORED ? 1 : 0)) };
}

/**
 * The scores among a model's outputs.
 *
 * @throws OnnxLoraError `INPUT_INVALID` where they are not float32 `[batch, classes, rows, columns]`; `LOSS_NOT_FINITE` where
 *   they are no numbers
 */
export function checkedScores(outputs: Readonly<Record<string, Tensor>>, output: string, classes: number): Tensor {
  const scores = outputs[output];
  if (scores?.type !== 'float32' || scores.dims.length !== 4 || scores.dims[1] !== classes) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The model must give "${output}" as float32 [batch, ${classes}, rows, columns], but it gave ${scores ? `${scores.type} [${scores.dims.join(', ')}]` : 'nothing'}. Run the whole graph.`,
    );
  }
  if ((scores.data as Float32Array).every((score) => Number.isFinite(score))) return scores;
  throw new OnnxLoraError(
    'LOSS_NOT_FINITE',
    `The model gave scores that are no numbers in "${output}". Train with a lower learning rate, or look at what it is fed.`,
  );
}

/** The class map of each image of a batch, from targets that collate made. */
function classMapsOf({ labels }: Feeds, batch: number): Mask[] {
  const [count, height = 0, width = 0] = labels?.dims ?? [];
  if (!labels || labels.type !== 'int64' || labels.dims.length !== 3 || count !== batch) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Targets must hold "labels" as int64 [${batch}, height, width]. Pass those that collate made.`,
    );
  }
  const size = height * width;
  return Array.from({ length: batch }, (_, i) => ({
    width,
    height,
    data: Uint8Array.from((labels.data as BigInt64Array).subarray(i * size, (i + 1) * size), Number),
  }));
}
