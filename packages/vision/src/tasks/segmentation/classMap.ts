/** @file Class maps from logits, and their predictions as PNG. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { describedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { Color, Mask } from '../../augment/sample.ts';
import { indexedPng } from '../../image/imageFile.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import { classColor } from '../../report/overlay.ts';
import { type ImagePort, imagePort } from '../imagePorts.ts';

export interface SegmentationPorts {
  readonly input: ImagePort;
  readonly output: string;
  readonly classes: number;
}

/** The image input, and `logits` or the only 4D output. @throws OnnxLoraError `MODEL_UNSUPPORTED` with the outputs */
export function segmentationPorts(model: TaskModel): SegmentationPorts {
  const input = imagePort(model);
  const maps = Object.entries(model.outputs).filter(([, { type, dims }]) => type === 'float32' && dims?.length === 4);
  const [output, port] = maps.find(([name]) => name === 'logits') ?? (maps.length === 1 ? maps[0]! : []);
  if (output === undefined) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not segment images: it has no float32 output "logits" [batch, classes, rows, columns] (it has ${describedPorts(model.outputs)}). Export it with its segmentation head.`,
    );
  }
  const classes = port!.dims![1]!;
  if (typeof classes === 'number' && classes >= 1 && classes <= mostClasses) return { input, output, classes };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The output "${output}" of "${model.name}" is [${port!.dims!.join(', ')}], and semantic segmentation needs a fixed number of classes of at most ${mostClasses} as its second dimension. Export it so.`,
  );
}

/** Masks have a byte per pixel, and 255 is unlabelled. */
const mostClasses = 255;

/** Scores of one image, `[classes, rows, columns]`. */
export interface ClassScores {
  readonly classes: number;
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** The scores of each image in a batch `[batch, classes, rows, columns]`. */
export function scoresOf({ data, dims }: Tensor): ClassScores[] {
  const [batch = 0, classes = 0, rows = 0, columns = 0] = dims;
  const size = classes * rows * columns;
  return Array.from({ length: batch }, (_, i) => ({
    classes,
    rows,
    columns,
    data: (data as Float32Array).subarray(i * size, (i + 1) * size),
  }));
}

/** The class map at `size`: torch's bilinear `interpolate`, then `argmax`, as `post_process_semantic_segmentation`. */
export function classMap(scores: ClassScores, { width, height }: Size): Mask {
  return mapAt(scores, positions(scores.columns, width), positions(scores.rows, height));
}

/** The class map of an image with this `geometry`, without padding and margins. */
export function classMapOfImage(scores: ClassScores, { input, output, scale, shift }: Geometry): Mask {
  const along = (size: number, from: number, to: number, factor: number, offset: number): Float64Array =>
    Float64Array.from({ length: size }, (_, i) => (((i + 0.5) * factor + offset) * from) / to - 0.5);
  return mapAt(
    scores,
    along(input.width, scores.columns, output.width, scale.x, shift.x),
    along(input.height, scores.rows, output.height, scale.y, shift.y),
  );
}

/** Source positions of the centres of `to` pixels in `from`. */
function positions(from: number, to: number): Float64Array {
  return Float64Array.from({ length: to }, (_, i) => ((i + 0.5) * from) / to - 0.5);
}

/** The class with the highest score at each position, with borders extended. */
function mapAt({ classes, rows, columns, data }: ClassScores, xs: Float64Array, ys: Float64Array): Mask {
  const [x, y] = [neighbours(xs, columns), neighbours(ys, rows)];
  const [width, height] = [xs.length, ys.length];
  const best = new Float32Array(width * height).fill(-Infinity);
  const found = new Uint8Array(width * height);
  // Rows of one class resized along x, cached.
  const wide = new Float32Array(rows * width);
  for (let c = 0; c < classes; c++) {
    const plane = c * rows * columns;
    for (let row = 0, at = 0; row < rows; row++) {
      const line = plane + row * columns;
      for (let i = 0; i < width; i++, at++) {
        const left = data[line + x.first[i]!]!;
        wide[at] = left + (data[line + x.second[i]!]! - left) * x.share[i]!;
      }
    }
    for (let j = 0, at = 0; j < height; j++) {
      const [upper, lower, share] = [y.first[j]! * width, y.second[j]! * width, y.share[j]!];
      for (let i = 0; i < width; i++, at++) {
        const above = wide[upper + i]!;
        const score = above + (wide[lower + i]! - above) * share;
        if (score > best[at]!) {
          best[at] = score;
          found[at] = c;
        }
      }
    }
  }
  return { width, height, data: found };
}

function neighbours(at: Float64Array, size: number): { first: Int32Array; second: Int32Array; share: Float64Array } {
  const inside = at.map((position) => Math.max(0, Math.min(size - 1, position)));
  const first = Int32Array.from(inside, Math.floor);
  return {
    first,
    second: first.map((position) => Math.min(size - 1, position + 1)),
    share: inside.map((position, i) => position - first[i]!),
  };
}

/** A predicted class map. */
export type SegmentationPrediction = Readonly<{
  /** Classes with their shares, as text. */
  label: string;
  /** Share of the pixels of each class, 0 to 1, largest first. */
  classes: readonly { readonly label: string; readonly share: number }[];
  /** A PNG of class numbers. */
  mask: Uint8Array;
}>;

/** `{ label, classes, mask }`: the shares of classes as text and numbers, largest first, and a PNG of class numbers. */
export function segmentationPrediction(map: Mask, labels: readonly string[]): SegmentationPrediction {
  const counts = new Float64Array(labels.length);
  for (const number of map.data) counts[number]!++;
  const classes = labels
    .map((label, number) => ({ label, share: counts[number]! / map.data.length }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share);
  const label = classes.map((each) => `${each.label} ${(100 * each.share).toFixed(1)} %`).join(', ');
  return { label, classes, mask: indexedPng(map, labelColors(labels)) };
}

/** A colour for each class; only the background is black. */
export function labelColors(labels: readonly string[]): (number: number) => Color {
  const first = labels[0]?.toLowerCase() === 'background' ? 0 : 1;
  return (number) => classColor((number + first) % 256);
}
