/** @file Rows of embeddings. */

import { type Matrix, matrix } from '../../../linalg/matrix.ts';
import { float32, type Tensor } from '../../../runtime/tensor.ts';

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
export function unitTensor({ dims, data }: Tensor): Tensor {
  const [rows, columns] = dims as [number, number];
  return float32(Float32Array.from(l2Normalize(matrix(rows, columns, data as Float32Array)).data), dims);
}
