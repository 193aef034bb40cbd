/** @file A layer's weight and its gradient as matrices with a row per output. */

import { OnnxLoraError } from '../../errors.ts';
import { type Matrix, matrix } from '../../linalg/matrix.ts';
import type { Site } from '../../match/sites.ts';
import { kindOf } from '../kinds/table.ts';

/** Weight as torch's `[out, width]`, before a normalisation was folded in. @throws OnnxLoraError `MODEL_INVALID` */
export function weightMatrix(site: Site): Matrix {
  return inRows(site, site.weight.stored.read(), (o) => 1 / (site.foldedScale?.[o] ?? 1));
}

/** Gradient of {@link weightMatrix}, from the graph's weight's. @throws OnnxLoraError `MODEL_INVALID` if not finite */
export function gradientMatrix(site: Site, gradient: Float32Array): Matrix {
  return inRows(site, gradient, (o) => site.foldedScale?.[o] ?? 1);
}

function inRows(site: Site, values: Float32Array, factor: (output: number) => number): Matrix {
  const { out, width, layout } = kindOf(site).matrix(site);
  const [row, column] = layout === 'in-out' ? [1, out] : [width, 1];
  const result = matrix(out, width);
  for (let o = 0; o < out; o++) {
    const scale = factor(o);
    for (let i = 0; i < width; i++) result.data[o * width + i] = scale * values[o * row + i * column]!;
  }
  if (!result.data.every(Number.isFinite)) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `The weight of "${site.path}", or its gradient, holds values that are not finite, so no first values can be derived from it. Check the model, or take another initialisation.`,
    );
  }
  return result;
}
