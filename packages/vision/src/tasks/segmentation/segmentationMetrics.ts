/** @file What is measured of class maps. */

import { type Feeds, type MetricCollector, type MetricsNamed, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import { boundaryF } from '../../metrics/boundaryF.ts';
import { meanOver, PixelConfusion } from '../../metrics/pixelConfusion.ts';
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

/** Sums up batches. Targets are `{ labels: int64 [batch, height, width] }`; scores are resized to them. */
export class SegmentationMetrics implements MetricCollector<SegmentationScores> {
  readonly #output: string;
  readonly #labels: readonly string[];
  readonly #confusion: PixelConfusion;
  #boundary = 0;
  #outlines = 0;

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
    for (const c of new Set(truth.data)) {
      if (c === IGNORED) continue;
      this.#boundary += boundaryF(only(found, c, truth), only(truth, c, truth));
      this.#outlines++;
    }
  }

  /**
   * `meanIou` and `dice`, means over the classes that occur or were found, from the pixels of all images; `pixelAccuracy`; and
   * `boundaryF`, the mean over each image's classes. All are NaN before the first image.
   */
  result(): SegmentationScores {
    const classes = this.#confusion.perClass();
    return {
      meanIou: meanOver(classes, 'iou'),
      dice: meanOver(classes, 'dice'),
      pixelAccuracy: this.#confusion.accuracy(),
      boundaryF: this.#boundary / this.#outlines,
    };
  }

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
