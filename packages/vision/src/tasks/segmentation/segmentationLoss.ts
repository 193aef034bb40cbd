/** @file The loss and the metrics of class maps. */

import { int64, OnnxLoraError, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import {
  crossEntropy,
  dice,
  type GraphBuilder,
  type Value,
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

/** The number of ignored pixels. */
export const IGNORED = 255;

/** Options of the loss. */
export interface SegmentationLossOptions {
  /**
   * `labels` (the default) resizes scores to the class map, bilinearly, as transformers. `logits` samples the class map
   * at the scores' size instead: a sixteenth of the work at a quarter of the size, with less weight on small objects.
   */
  readonly lossSize?: 'labels' | 'logits' | undefined;
  /** Weight of the Dice loss; 0 by default. It compensates for classes of few pixels. */
  readonly dice?: number | undefined;
  /** Weights of the classes in the cross-entropy, in the order of labels. */
  readonly classWeights?: readonly number[] | undefined;
  /** Label smoothing, 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
}

/**
 * Mean cross-entropy over labelled pixels, plus the Dice loss.
 * @param logits `[batch, classes, rows, columns]`, float32
 * @param labels `[batch, height, width]`, int64; {@link IGNORED} for ignored pixels
 */
export function segmentationLoss(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { lossSize = 'labels', dice: diceWeight = 0, classWeights, labelSmoothing }: SegmentationLossOptions,
): Value {
  const [batch, classes, rows, columns] = sizes(logits);
  const [, height, width] = sizes(labels);
  // Classes go last before upsampling, to transpose the smaller tensor.
  const small = g.Transpose(logits, [0, 2, 3, 1]);
  const sameSize = rows === height && columns === width;
  const scores =
    sameSize || lossSize === 'logits' ? small : resizeBilinear(g, small, [batch!, height!, width!, classes!]);
  const truth =
    sameSize || lossSize === 'labels'
      ? labels
      : g.Gather(g.Gather(labels, g.ints(nearest(height!, rows!)), 1), g.ints(nearest(width!, columns!)), 2);
  const entropy = crossEntropy(g, scores, truth, { ignoreIndex: IGNORED, weight: classWeights, labelSmoothing });
  return diceWeight === 0 ? entropy : g.Add(entropy, g.Mul(overlap(g, scores, truth), diceWeight));
}

/** Dice loss over the whole batch, since an image may lack a class. */
function overlap(g: GraphBuilder, scores: Value, labels: Value): Value {
  const [batch, height, width, classes] = sizes(scores) as [number, number, number, number];
  const numbers = g.constant(int64(Array.from({ length: classes }, (_, i) => i), [1, classes, 1, 1])); // prettier-ignore
  const map = g.Reshape(labels, [batch, 1, height, width]);
  const isClass = g.Equal(map, numbers);
  const known = g.Not(g.Equal(map, g.constant(int64([IGNORED], [1, 1, 1, 1]))));
  const probabilities = g.Transpose(g.Softmax(scores, 3), [0, 3, 1, 2]);
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));
  return dice(g, probabilities, float(isClass), { activation: 'none', over: 'batch', mask: float(known) });
}

function resizeBilinear(g: GraphBuilder, x: Value, size: readonly number[]): Value {
  if (g.opset < 11) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The model is of opset ${g.opset}, whose Resize cannot do what the loss needs. Export it with opset 11 or later, or set lossSize to "logits".`,
    );
  }
  // Opset 11 requires region and scales, even if unused.
  return g.emit('Resize', [x, none(g), none(g), g.ints(size)], {
    mode: 'linear',
    coordinate_transformation_mode: 'half_pixel',
  });
}

function none(g: GraphBuilder): Value | undefined {
  return g.opset < 13 ? g.constant({ type: 'float32', data: new Float32Array(0), dims: [0] }) : undefined;
}

/** Nearest sources of `to` positions in `from`. */
function nearest(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(((i + 0.5) * from) / to)));
}

function sizes({ name, shape }: Value): readonly number[] {
  if (shape?.every((dim) => typeof dim === 'number')) return shape as readonly number[];
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The size of "${name}" is not known before the model runs, so its scores cannot be compared with class maps. Export the model with a fixed height and width.`,
  );
}

export interface SegmentationMetricsOptions {
  readonly output: string;
  readonly labels: readonly string[];
}

/** Metrics of class maps. */
export type SegmentationScores = MetricsNamed<'meanIou' | 'dice' | 'pixelAccuracy' | 'boundaryF'>;

interface ImageCounts {
  /** Pixels of each class: true, found, and both. */
  readonly classes: readonly { readonly c: number; readonly pixels: number; readonly found: number; readonly both: number }[]; // prettier-ignore
  /** Sum of boundary F over the present classes, and their number. */
  readonly boundary: number;
  readonly outlines: number;
}

/** Collects metrics. Targets are `{ labels: int64 [batch, height, width] }`; scores are resized to them. */
export class SegmentationMetrics implements MetricCollector<SegmentationScores> {
  readonly #output: string;
  readonly #labels: readonly string[];
  readonly #confusion: PixelConfusion;
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
   * `meanIou` and `dice`, means over classes present or found, from the pixels of all images; `pixelAccuracy`; and
   * `boundaryF`, the mean over each image's classes. NaN without images.
   */
  result(): SegmentationScores {
    return this.#measure();
  }

  /** The metrics on resampled images. */
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

  /** Pixel counts of the classes present or found. */
  confusion(): { labels: readonly string[]; counts: readonly (readonly number[])[] } {
    const seen = this.#confusion.perClass().flatMap(({ iou }, c) => (Number.isNaN(iou) ? [] : [c]));
    return {
      labels: seen.map((c) => this.#labels[c]!),
      counts: seen.map((truth) => seen.map((found) => this.#confusion.count(truth, found))),
    };
  }
}

/** Ones for class `c`, without ignored pixels. */
function only({ width, height, data }: Mask, c: number, truth: Mask): Mask {
  return { width, height, data: data.map((each, i) => (each === c && truth.data[i] !== IGNORED ? 1 : 0)) };
}

/** Checks a batch of scores. @throws OnnxLoraError `INPUT_INVALID` for another shape; `LOSS_NOT_FINITE` for NaN */
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

/** The class maps of a batch, from collated targets. */
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
