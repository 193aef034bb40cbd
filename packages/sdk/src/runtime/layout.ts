/** @file Transposing matrices between torch's layouts and the graph's. */

import { float32, type Tensor } from './tensor.ts';

/** The transpose of a row-major `[rows, columns]` matrix, times `factor`. */
export function transposed<Values extends Float32Array | Float64Array>(
  data: Values,
  rows: number,
  columns: number,
  factor = 1,
): Values {
  const result = new (data.constructor as new (length: number) => Values)(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]! * factor;
  }
  return result;
}

/** The transpose of a matrix. */
export function transposedMatrix({ data, dims }: Tensor): Tensor {
  const [rows, columns] = dims as [number, number];
  return float32(transposed(data as Float32Array, rows, columns), [columns, rows]);
}
