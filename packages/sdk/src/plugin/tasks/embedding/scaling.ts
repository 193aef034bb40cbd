/** @file Features brought to mean 0 and deviation 1. */

import type { Matrix } from '../../../linalg/matrix.ts';

/** What features are measured in: those of the training data. */
export interface Scaling {
  /** Of each feature. */
  readonly mean: Float64Array;
  /** Of each feature; 1 for one that is always the same. */
  readonly deviation: Float64Array;
}

/** The means and deviations of the columns, as scikit-learn's `StandardScaler` finds them. */
export function scalingOf({ rows, columns, data }: Matrix): Scaling {
  const mean = new Float64Array(columns);
  const deviation = new Float64Array(columns);
  for (let i = 0; i < data.length; i++) mean[i % columns]! += data[i]! / rows;
  for (let i = 0; i < data.length; i++) deviation[i % columns]! += (data[i]! - mean[i % columns]!) ** 2 / rows;
  // What is far below the values' own precision is rounding, not spread.
  for (let j = 0; j < columns; j++)
    deviation[j] = Math.sqrt(deviation[j]!) > 1e-9 * Math.abs(mean[j]!) ? Math.sqrt(deviation[j]!) : 1;
  return { mean, deviation };
}

/** Features less the mean, over the deviation. */
export function scaled({ rows, columns, data }: Matrix, { mean, deviation }: Scaling): Matrix {
  const result = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) result[i] = (data[i]! - mean[i % columns]!) / deviation[i % columns]!;
  return { rows, columns, data: result };
}
