/** @file Rows of features and embeddings. */

import { type Matrix, matrix } from '../../linalg/matrix.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';

/** The rows at `indices`, in that order. */
export function takeRows({ columns, data }: Matrix, indices: readonly number[]): Matrix {
  const result = matrix(indices.length, columns);
  indices.forEach((index, i) => result.data.set(data.subarray(index * columns, (index + 1) * columns), i * columns));
  return result;
}

/** Every row divided by its length; a row of zeros stays one. */
export function l2Normalize({ rows, columns, data }: Matrix): Matrix {
  const result = matrix(rows, columns);
  for (let i = 0; i < rows; i++) {
    const row = data.subarray(i * columns, (i + 1) * columns);
    let square = 0;
    for (const value of row) square += value * value;
    const length = Math.sqrt(square) || 1;
    for (let j = 0; j < columns; j++) result.data[i * columns + j] = row[j]! / length;
  }
  return result;
}

/** Float32 `[rows, width]` with every row of length 1. */
export function unitTensor(tensor: Tensor): Tensor {
  return float32(Float32Array.from(l2Normalize(matrixOf(tensor)).data), tensor.dims);
}

/** A vector divided by its length; zeros stay. */
export function unitVector(vector: Float32Array): Float32Array {
  return Float32Array.from(l2Normalize(matrix(1, vector.length, vector)).data);
}

/** The numbers of a tensor float32 `[rows, width]`. */
export function matrixOf({ dims, data }: Tensor): Matrix {
  return matrix(dims[0]!, dims[1]!, data as Float32Array);
}

/** The rows of all tensors float32 `[rows, width]`, one below the other. */
export function joinRows(parts: readonly Tensor[]): Tensor {
  return joinVectors(parts.map(({ data }) => data as Float32Array), parts[0]?.dims[1] ?? 0); // prettier-ignore
}

/** Float32 `[rows, width]` of numbers that come one row, or several, at a time. */
export function joinVectors(parts: readonly Float32Array[], width: number = parts[0]?.length ?? 0): Tensor {
  const data = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return float32(data, [width === 0 ? 0 : data.length / width, width]);
}

/** Each row of a tensor float32 `[rows, width]` by itself: copies, so that none keeps the others in memory. */
export function vectorsOf({ dims, data }: Tensor): Float32Array[] {
  const [rows, width] = dims as [number, number];
  return Array.from({ length: rows }, (_, row) => (data as Float32Array).slice(row * width, (row + 1) * width));
}

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
