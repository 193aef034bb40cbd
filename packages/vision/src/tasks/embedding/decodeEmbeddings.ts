/** @file Embeddings as answers. */

import { type Prediction, type Tensor, unitTensor } from '@onnx-lora/sdk';
import type { Features } from './features.ts';
import { pooledRows } from './pooling.ts';

/** For each row its embedding of length 1, as a list, and how many numbers it has: `{ width, embedding }`. */
export function decodeEmbeddings(outputs: Readonly<Record<string, Tensor>>, features: Features): Prediction[] {
  const { dims, data } = unitTensor(pooledRows(outputs, features));
  const [rows, width] = dims as [number, number];
  return Array.from({ length: rows }, (_, i) => ({
    width,
    embedding: Array.from(data.subarray(i * width, (i + 1) * width), Number),
  }));
}
