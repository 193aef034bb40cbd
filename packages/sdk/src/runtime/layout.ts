/** @file Transposing matrices between torch's layouts and the graph's. */

/** The transpose of a row-major `[rows, columns]` matrix, each value times `factor`. */
export function transposed(data: Float32Array, rows: number, columns: number, factor = 1): Float32Array {
  const result = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]! * factor;
  }
  return result;
}
