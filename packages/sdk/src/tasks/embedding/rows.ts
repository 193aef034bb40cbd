/** @file Rows of features and embeddings. */

import { type Matrix, matrix } from '../../linalg/matrix.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { columnMeans } from '../probe/ridge.ts';

/** The rows at `indices`, in that order. */
export function takeRows({ columns, data }: Matrix, indices: readonly number[]): Matrix {
  const result = matrix(indices.length, columns);
  indices.forEach((index, i) => result.data.set(data.subarray(index * columns, (index + 1) * columns), i * columns));
  return result;
}

/** Divides each row by its length; zeros stay. */
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

/** L2-normalises the rows of float32 `[rows, width]`. */
export function unitTensor(tensor: Tensor): Tensor {
  return float32(Float32Array.from(l2Normalize(matrixOf(tensor)).data), tensor.dims);
}

/** Divides a vector by its length; zeros stay. */
export function unitVector(vector: Float32Array): Float32Array {
  return Float32Array.from(l2Normalize(matrix(1, vector.length, vector)).data);
}

/** A tensor float32 `[rows, width]` as a matrix. */
export function matrixOf({ dims, data }: Tensor): Matrix {
  return matrix(dims[0]!, dims[1]!, data as Float32Array);
}

/** Concatenates the rows of tensors float32 `[rows, width]`. */
export function joinRows(parts: readonly Tensor[]): Tensor {
  return joinVectors(
    parts.map(({ data }) => data as Float32Array),
    parts[0]?.dims[1] ?? 0,
  );
}

/** Concatenates vectors, of one or several rows each, into float32 `[rows, width]`. */
export function joinVectors(parts: readonly Float32Array[], width: number = parts[0]?.length ?? 0): Tensor {
  const data = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return float32(data, [width === 0 ? 0 : data.length / width, width]);
}

/** Copies of the rows of float32 `[rows, width]`, so that none keeps the others in memory. */
export function vectorsOf({ dims, data }: Tensor): Float32Array[] {
  const [rows, width] = dims as [number, number];
  return Array.from({ length: rows }, (_, row) => (data as Float32Array).slice(row * width, (row + 1) * width));
}

/** Standardisation by the training data. */
export interface Scaling {
  /** Mean of each feature. */
  readonly mean: Float64Array;
  /** Standard deviation of each feature; 1 for a constant one. */
  readonly deviation: Float64Array;
}

/** Means and deviations of the columns, as in scikit-learn's `StandardScaler`. */
export function standardisationOf({ rows, columns, data }: Matrix): Scaling {
  const mean = columnMeans({ rows, columns, data });
  const deviation = new Float64Array(columns);
  for (let i = 0; i < data.length; i++) deviation[i % columns]! += (data[i]! - mean[i % columns]!) ** 2 / rows;
  // A deviation far below the values' precision is rounding.
  for (let j = 0; j < columns; j++)
    deviation[j] = Math.sqrt(deviation[j]!) > 1e-9 * Math.abs(mean[j]!) ? Math.sqrt(deviation[j]!) : 1;
  return { mean, deviation };
}

/** Standardises features. */
export function standardise({ rows, columns, data }: Matrix, { mean, deviation }: Scaling): Matrix {
  const result = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) result[i] = (data[i]! - mean[i % columns]!) / deviation[i % columns]!;
  return { rows, columns, data: result };
}
