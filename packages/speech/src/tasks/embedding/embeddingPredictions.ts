/** @file Embeddings as answers. */

import type { Prediction, Tensor } from '@onnx-lora/sdk';

/** For each row of embeddings `[rows, width]`: `{ width, embedding }`. */
export function embeddingPredictions({ dims, data }: Tensor): Prediction[] {
  const [rows, width] = dims as readonly [number, number];
  return Array.from({ length: rows }, (_, row) => ({
    width,
    embedding: Array.from(data.subarray(row * width, (row + 1) * width), Number),
  }));
}
