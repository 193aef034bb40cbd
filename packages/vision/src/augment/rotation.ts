/** @file Rotations of samples: by any angle, or by quarters. */

import { type AugmentationOptions, checkRange, type Range, type Random } from '@onnx-lora/sdk/data';
import type { Plane } from '../preprocess/crop.ts';
import { affineSample, checkColor, type Color, type Interpolation, rotationMap } from './affine.ts';
import { moveSample, type Sample } from './sample.ts';

/** A rotation by a random angle. */
export interface Rotation {
  readonly type: 'rotation';
  /** Lowest and highest angle in degrees, counter-clockwise. */
  readonly degrees: Range;
  /** Of the image, `bilinear` by default; masks always take the nearest pixel. */
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
  /** Lowest and highest angle, counter-clockwise; one number stands for both ways. 15 by default. */
  readonly degrees?: number | Range;
}

/**
 * Rotates the image around its middle by a random angle; its size stays: `RandomRotation` of torchvision.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
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

/** Rotates the image by 0, 90, 180 or 270 degrees, each as often: for pictures without an up. No pixel is lost. */
export function rotate90(): Rotate90 {
  return { type: 'rotate90' };
}

/** Rotates by an angle drawn from the range. */
export function applyRotation(sample: Sample, { degrees, interpolation, fill }: Rotation, random: Random): Sample {
  const angle = random.uniform(...degrees);
  return angle === 0 ? sample : affineSample(sample, rotationMap(sample.image, angle), { interpolation, fill });
}

/** Rotates by quarters, as many as are drawn. */
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
  // The result is `height` wide and `width` high: its row y is the column `width − 1 − y`.
  for (let y = 0, at = 0; y < width; y++) {
    for (let x = 0; x < height; x++, at += channels) {
      const source = (x * width + width - 1 - y) * channels;
      for (let channel = 0; channel < channels; channel++) data[at + channel] = from[source + channel]!;
    }
  }
  return { width: height, height: width, data };
}
