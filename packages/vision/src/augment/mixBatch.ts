/** @file MixUp and CutMix: mix a batch's images and labels in pairs. */

import { float32, OnnxLoraError, type Tensor, tensor } from '@onnx-lora/sdk';
import { badSetting, Random } from '@onnx-lora/sdk/data';

/** How a batch is mixed; with both options, one is drawn at equal odds. */
export interface MixOptions {
  /** MixUp blends two images; a larger alpha blends more evenly. 0.8 in DeiT, 0.2 in the paper. */
  readonly mixUp?: number;
  /** CutMix pastes a rectangle of another image. 1 in the paper, which makes all sizes equally likely. */
  readonly cutMix?: number;
}

/** A batch with soft labels. */
export interface SoftBatch {
  /** Float32 `[batch, 3, height, width]`. */
  readonly pixels: Tensor;
  /** Float32 `[batch, classes]`; rows add up to 1. */
  readonly labels: Tensor;
}

/**
 * Mixes each image with the previous one (the first with the last) at a proportion λ from Beta(α, α); labels become λ
 * and 1 − λ, for CutMix by actual pixels. Needs a loss on distributions, such as `crossEntropy`.
 * @throws OnnxLoraError `CONFIG_INVALID` for an alpha that is not above 0; `INPUT_INVALID` for other shapes
 * @see https://arxiv.org/abs/1710.09412 MixUp
 * @see https://arxiv.org/abs/1905.04899 CutMix
 */
export function mixBatch(batch: SoftBatch, { mixUp, cutMix }: MixOptions, seed: number): SoftBatch {
  checkAlpha('mixUp', mixUp);
  checkAlpha('cutMix', cutMix);
  const shape = shapeOf(batch);
  // Separates this random stream from augmentations with the same seed.
  const random = new Random(seed ^ 0x4d697842);
  // Always drawn, so that later numbers do not depend on the options.
  const first = random.next() < 0.5;
  if (mixUp !== undefined && (cutMix === undefined || first)) {
    const share = beta(mixUp, random);
    return { pixels: blendWithPrevious(batch.pixels, share), labels: blendWithPrevious(batch.labels, share) };
  }
  if (cutMix === undefined) return batch;
  const { pixels, share } = cutFromPrevious(batch.pixels, shape, beta(cutMix, random), random);
  return { pixels, labels: blendWithPrevious(batch.labels, share) };
}

/** One-hot labels, float32 `[batch, classes]`. */
export function oneHot(labels: readonly number[], classes: number): Tensor {
  const data = new Float32Array(labels.length * classes);
  labels.forEach((label, i) => (data[i * classes + label] = 1));
  return float32(data, [labels.length, classes]);
}

function checkAlpha(name: keyof MixOptions, alpha: number | undefined): void {
  if (alpha !== undefined && !(alpha > 0 && alpha < 1e4)) throw badSetting(name, 'a number above 0', alpha);
}

interface BatchShape {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

function shapeOf({ pixels, labels }: SoftBatch): BatchShape {
  const [batch, channels, height, width] = pixels.dims;
  if (
    pixels.type !== 'float32' || pixels.dims.length !== 4 ||
    labels.type !== 'float32' || labels.dims.length !== 2 || labels.dims[0] !== batch // prettier-ignore
  ) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A batch to mix is float32 [batch, channels, height, width] with labels float32 [batch, classes], but these are ${pixels.type} [${pixels.dims.join(', ')}] and ${labels.type} [${labels.dims.join(', ')}]. Make distributions of class numbers with oneHot.`,
    );
  }
  return { batch: batch!, channels: channels!, height: height!, width: width! };
}

/** `share` of each row plus the rest of the previous row. */
function blendWithPrevious({ data, dims }: Tensor, share: number): Tensor {
  const from = data as Float32Array;
  const row = from.length / dims[0]!;
  const out = new Float32Array(from.length);
  for (let i = 0; i < from.length; i++) {
    out[i] = share * from[i]! + (1 - share) * from[i < row ? i + from.length - row : i - row]!;
  }
  return tensor('float32', out, dims);
}

/** Pastes a rectangle of about `1 − share` of the area from the previous image; returns the share that is left. */
function cutFromPrevious(
  pixels: Tensor,
  { batch, channels, height, width }: BatchShape,
  share: number,
  random: Random,
): { pixels: Tensor; share: number } {
  const half = 0.5 * Math.sqrt(1 - share);
  const [x, y] = [random.index(width), random.index(height)];
  const [halfWidth, halfHeight] = [Math.trunc(half * width), Math.trunc(half * height)];
  const [x0, x1] = [Math.max(0, x - halfWidth), Math.min(width, x + halfWidth)];
  const [y0, y1] = [Math.max(0, y - halfHeight), Math.min(height, y + halfHeight)];
  const from = pixels.data as Float32Array;
  const out = from.slice();
  const image = channels * height * width;
  for (let i = 0; i < batch; i++) {
    const source = ((i + batch - 1) % batch) * image;
    for (let line = 0; line < channels * height; line++) {
      if (line % height < y0 || line % height >= y1) continue;
      const at = line * width;
      out.set(from.subarray(source + at + x0, source + at + x1), i * image + at + x0);
    }
  }
  return { pixels: tensor('float32', out, pixels.dims), share: 1 - ((x1 - x0) * (y1 - y0)) / (width * height) };
}

/** A draw from Beta(alpha, alpha): uniform for 1, near 0 or 1 below, near a half above. */
export function beta(alpha: number, random: Random): number {
  // In logarithms, since the numbers underflow for a small alpha.
  const [a, b] = [logGamma(alpha, random), logGamma(alpha, random)];
  return 1 / (1 + Math.exp(b - a));
}

/** The log of a Gamma(shape, 1) draw. @see https://doi.org/10.1145/358407.358414 Marsaglia and Tsang */
function logGamma(shape: number, random: Random): number {
  if (shape < 1) return logGamma(shape + 1, random) + Math.log(1 - random.next()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}
