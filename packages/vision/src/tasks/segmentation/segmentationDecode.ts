/** @file Says a class map in words and as a picture. */

import type { Prediction } from '@onnx-lora/sdk/tasks';
import type { Mask } from '../../augment/sample.ts';
import { indexedPng } from '../../image/indexedPng.ts';
import type { Color } from '../../augment/affine.ts';
import { classColor } from '../../report/classColors.ts';

/**
 * `{ label, classes, mask }`: in words and in numbers the share of each class that occurs, largest first, and a PNG of class
 * numbers.
 */
export function segmentationPrediction(map: Mask, labels: readonly string[]): Prediction {
  const counts = new Float64Array(labels.length);
  for (const number of map.data) counts[number]!++;
  const classes = labels
    .map((label, number) => ({ label, share: counts[number]! / map.data.length }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share);
  const label = classes.map((each) => `${each.label} ${(100 * each.share).toFixed(1)} %`).join(', ');
  return { label, classes, mask: indexedPng(map, labelColors(labels)) };
}

/** A colour for each class: black only for the background. */
export function labelColors(labels: readonly string[]): (number: number) => Color {
  const first = labels[0]?.toLowerCase() === 'background' ? 0 : 1;
  return (number) => classColor((number + first) % 256);
}
