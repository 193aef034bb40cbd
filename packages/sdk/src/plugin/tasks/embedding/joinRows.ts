/** @file Batches of rows as one. */

import { float32, type Tensor } from '../../../runtime/tensor.ts';

/** The rows of all tensors float32 `[rows, width]`, one below the other. */
export function joinRows(parts: readonly Tensor[]): Tensor {
  const width = parts[0]?.dims[1] ?? 0;
  const rows = parts.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const data = new Float32Array(rows * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return float32(data, [rows, width]);
}
