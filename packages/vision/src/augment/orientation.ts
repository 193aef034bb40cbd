/** @file Flips and rotations of samples. */

import { type AugmentationOptions, checkShare, checkRange, type Range, type Random } from '@onnx-lora/sdk/data';
import type { Plane } from '../preprocess/crop.ts';
import {
  affineSample,
  checkColor,
  type Color,
  type Interpolation,
  rotationMap,
  moveSample,
  type Sample,
} from './sample.ts';

/** A random flip. */
export interface Flip {
  /** `horizontal-flip` exchanges left and right, `vertical-flip` up and down. */
  readonly type: 'horizontal-flip' | 'vertical-flip';
  /** Probability, 0 to 1. */
  readonly probability: number;
}

/** Options with a probability only. */
export type ProbabilityOptions = AugmentationOptions<Flip>;

/**
 * Flips left and right, with probability 0.5 by default. Not for images with a reading direction, such as text.
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function horizontalFlip({ probability = 0.5 }: ProbabilityOptions = {}): Flip {
  return { type: 'horizontal-flip', probability: checkShare('probability', probability) };
}

/**
 * Flips up and down, with probability 0.5 by default: for images without an up, such as a microscope's.
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function verticalFlip({ probability = 0.5 }: ProbabilityOptions = {}): Flip {
  return { type: 'vertical-flip', probability: checkShare('probability', probability) };
}

/** Applies a {@link Flip}. */
export function applyFlip(sample: Sample, { type }: Flip): Sample {
  return flip(sample, type === 'horizontal-flip' ? 'x' : 'y');
}

/** Mirrors a sample along an axis: along `x`, left becomes right. */
export function flip(sample: Sample, axis: 'x' | 'y'): Sample {
  const { width, height } = sample.image;
  return moveSample(sample, {
    image: flipPlane(sample.image, 3, axis),
    mask: (mask) => ({ ...mask, ...flipPlane(mask, 1, axis) }),
    point: ([x, y]) => (axis === 'x' ? [width - x, y] : [x, height - y]),
  });
}

function flipPlane({ width, height, data }: Plane, channels: number, axis: 'x' | 'y'): Plane {
  const out = new Uint8Array(data.length);
  const row = width * channels;
  for (let y = 0; y < height; y++) {
    if (axis === 'y') {
      out.set(data.subarray(y * row, (y + 1) * row), (height - 1 - y) * row);
      continue;
    }
    for (let from = y * row, at = from + row - channels; from < (y + 1) * row; from += channels, at -= channels) {
      for (let c = 0; c < channels; c++) out[at + c] = data[from + c]!;
    }
  }
  return { width, height, data: out };
}

/** A random rotation. */
export interface Rotation {
  readonly type: 'rotation';
  /** Range of the angle in degrees, counter-clockwise. */
  readonly degrees: Range;
  /** Interpolation of the image, `bilinear` by default; masks always use the nearest pixel. */
  readonly interpolation: Interpolation;
  /** Colour of the corners, black by default; masks have their `outside` there. */
  readonly fill: Color;
}

/** A rotation by 0, 90, 180 or 270 degrees. */
export interface Rotate90 {
  readonly type: 'rotate90';
}

/** Options of {@link rotation}. */
export interface RotationOptions extends Omit<AugmentationOptions<Rotation>, 'degrees'> {
  /** Range of the angle, counter-clockwise; a number x is the range −x to x. 15 by default. */
  readonly degrees?: number | Range;
}

/**
 * Rotates the image around its centre by a random angle at the same size: torchvision's `RandomRotation`.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function rotation({
  degrees = 15,
  interpolation = 'bilinear',
  fill = [0, 0, 0],
}: RotationOptions = {}): Rotation {
  const range = typeof degrees === 'number' ? ([-degrees, degrees] as const) : degrees;
  checkRange('degrees', range, -360, 360);
  return { type: 'rotation', degrees: range, interpolation, fill: checkColor('fill', fill) };
}

/** Rotates by 0, 90, 180 or 270 degrees at equal odds and without loss, for images without an up. */
export function rotate90(): Rotate90 {
  return { type: 'rotate90' };
}

/** Applies {@link rotation}. */
export function applyRotation(sample: Sample, { degrees, interpolation, fill }: Rotation, random: Random): Sample {
  const angle = random.uniform(...degrees);
  return angle === 0 ? sample : affineSample(sample, rotationMap(sample.image, angle), { interpolation, fill });
}

/** Applies {@link rotate90}. */
export function applyRotate90(sample: Sample, _: Rotate90, random: Random): Sample {
  let rotated = sample;
  for (let quarters = random.index(4); quarters > 0; quarters--) rotated = rotated90(rotated);
  return rotated;
}

/** A rotation by 90°, counter-clockwise. */
function rotated90(sample: Sample): Sample {
  const { width } = sample.image;
  return moveSample(sample, {
    image: rotatePlane(sample.image, 3),
    mask: (mask) => ({ ...mask, ...rotatePlane(mask, 1) }),
    point: ([x, y]) => [y, width - x],
  });
}

function rotatePlane({ width, height, data: from }: Plane, channels: number): Plane {
  const data = new Uint8Array(from.length);
  // The result is `height` wide and `width` high; its row y is column `width − 1 − y`.
  for (let y = 0, at = 0; y < width; y++) {
    for (let x = 0; x < height; x++, at += channels) {
      const source = (x * width + width - 1 - y) * channels;
      for (let channel = 0; channel < channels; channel++) data[at + channel] = from[source + channel]!;
    }
  }
  return { width: height, height: width, data };
}
