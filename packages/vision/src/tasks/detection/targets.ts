/** @file Objects of images as targets of the loss. */

import { type Feeds, float32, int64 } from '@onnx-lora/sdk';

/** Objects of an image. */
export interface ImageObjects {
  /** Number of each object's class. */
  readonly labels: readonly number[];
  /** Center, width and height of each, in shares of the model's input. */
  readonly boxes: readonly (readonly number[])[];
}

/** A padding box, which counts nowhere; its size keeps divisions sound. */
const PADDING = [0.5, 0.5, 1, 1];

/**
 * Targets of a batch for the loss: `labels`, `boxes`, `counts`, and `batchCounts`, by which a part of the batch knows
 * the whole.
 * @param slots objects per image; at least 1, and the most of an image by default
 */
export function detectionTargets(images: readonly ImageObjects[], slots?: number): Feeds {
  const counts = images.map(({ labels }) => labels.length);
  const most = Math.max(1, slots ?? 0, ...counts);
  const rows = images.length;
  const padded = <T>(own: readonly T[], padding: T): T[] => [...own, ...new Array<T>(most - own.length).fill(padding)];
  return {
    labels: int64(images.flatMap(({ labels }) => padded(labels, 0)), [rows, most]), // prettier-ignore
    boxes: float32(images.flatMap(({ boxes }) => padded<readonly number[]>(boxes, PADDING).flat()), [rows, most, 4]), // prettier-ignore
    counts: int64(counts, [rows]),
    batchCounts: int64(images.flatMap(() => counts), [rows, rows]), // prettier-ignore
  };
}
