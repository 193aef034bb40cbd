/** @file Gaussian blur of random width. */

import {
  type AugmentationOptions,
  badSetting,
  checkRange,
  checkShare,
  checkWhole,
  type Range,
  type Random,
} from '@onnx-lora/sdk/data';
import type { Image } from '../image/image.ts';
import type { Sample } from './sample.ts';

/** A Gaussian blur of random width. */
export interface GaussianBlur {
  readonly type: 'gaussian-blur';
  /** Kernel size in pixels, odd; by default it covers three deviations of the widest blur. */
  readonly kernelSize: number;
  /** Range of the standard deviation in pixels; 0.1 to 2 by default. */
  readonly sigma: Range;
  /** Probability, 0 to 1; 1 by default. */
  readonly probability: number;
}

/** Options of {@link gaussianBlur}. */
export type GaussianBlurOptions = AugmentationOptions<GaussianBlur>;

/**
 * Blurs the image: torchvision's `GaussianBlur`, within one level.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function gaussianBlur({
  kernelSize,
  sigma = [0.1, 2],
  probability = 1,
}: GaussianBlurOptions = {}): GaussianBlur {
  checkRange('sigma', sigma, 1e-3, 100);
  const size = checkWhole('kernelSize', kernelSize ?? 2 * Math.ceil(3 * sigma[1]) + 1, 1, 999);
  if (size % 2 === 0) throw badSetting('kernelSize', 'odd', size);
  return { type: 'gaussian-blur', kernelSize: size, sigma, probability: checkShare('probability', probability) };
}

/** Applies {@link gaussianBlur}. */
export function applyGaussianBlur(sample: Sample, options: GaussianBlur, random: Random): Sample {
  return { ...sample, image: blur(sample.image, options.kernelSize, random.uniform(...options.sigma)) };
}

/** Blurs with weights `e^(−d² / 2σ²)` along x, then y, with mirrored borders. */
export function blur({ width, height, data }: Image, kernelSize: number, sigma: number): Image {
  const reach = (kernelSize - 1) / 2;
  const exact = Array.from({ length: kernelSize }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
  const sum = exact.reduce((total, each) => total + each, 0);
  const weights = Float64Array.from(exact, (each) => each / sum);
  const rows = alongX(data, width, height, weights);
  const row = width * 3;
  const out = new Uint8Array(data.length);
  const line = new Float64Array(row);
  for (let y = 0; y < height; y++) {
    // A half, so that truncation rounds.
    line.fill(0.5);
    for (let k = 0; k < kernelSize; k++) {
      const weight = weights[k]!;
      const from = mirrored(y + k - reach, height) * row;
      for (let i = 0; i < row; i++) line[i]! += weight * rows[from + i]!;
    }
    out.set(line, y * row);
  }
  return { width, height, data: out };
}

function alongX(data: Uint8Array, width: number, height: number, weights: Float64Array): Float32Array {
  const reach = (weights.length - 1) / 2;
  const row = width * 3;
  const out = new Float32Array(data.length);
  const sources = Int32Array.from({ length: width + 2 * reach }, (_, i) => mirrored(i - reach, width) * 3);
  // One row with its mirrored ends.
  const line = new Float64Array(sources.length * 3);
  for (let y = 0; y < height; y++) {
    for (let i = 0, at = 0; i < sources.length; i++) {
      const from = y * row + sources[i]!;
      line[at++] = data[from]!;
      line[at++] = data[from + 1]!;
      line[at++] = data[from + 2]!;
    }
    for (let i = 0; i < row; i++) {
      let sum = 0;
      for (let k = 0, at = i; k < weights.length; k++, at += 3) sum += weights[k]! * line[at]!;
      out[y * row + i] = sum;
    }
  }
  return out;
}

/** The index at `i` in a line of `length` mirrored at its ends, without repeating them. */
function mirrored(i: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const place = ((i % period) + period) % period;
  return place < length ? place : period - place;
}
