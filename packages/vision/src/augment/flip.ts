/** @file Mirrors samples. */

import type { Plane } from '../preprocess/crop.ts';
import { type AugmentationOptions, checkShare } from '@onnx-lora/sdk/data';
import { moveSample, type Sample } from './sample.ts';

/** Left becomes right, or up becomes down. */
export interface Flip {
  /** Which way: `horizontal-flip` exchanges left and right, `vertical-flip` up and down. */
  readonly type: 'horizontal-flip' | 'vertical-flip';
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of what has no other: how often it is done. */
export type ProbabilityOptions = AugmentationOptions<Flip>;

/**
 * Left becomes right, in half of the draws by default. Not for what has a reading direction, such as digits and text.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function horizontalFlip({ probability = 0.5 }: ProbabilityOptions = {}): Flip {
  return { type: 'horizontal-flip', probability: checkShare('probability', probability) };
}

/**
 * Up becomes down, in half of the draws by default: for pictures without an up, such as those of a microscope.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function verticalFlip({ probability = 0.5 }: ProbabilityOptions = {}): Flip {
  return { type: 'vertical-flip', probability: checkShare('probability', probability) };
}

/** The flipped sample. */
export function applyFlip(sample: Sample, { type }: Flip): Sample {
  return flip(sample, type === 'horizontal-flip' ? 'x' : 'y');
}

/** The mirrored sample: along `x`, left becomes right. */
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
