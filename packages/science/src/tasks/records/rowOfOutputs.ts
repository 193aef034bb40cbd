/** @file One row of what a model gave for a batch. */

import type { Tensor } from '@onnx-lora/sdk';

/** Row `row` of each tensor, with a batch of 1. */
export function rowOfOutputs(outputs: Readonly<Record<string, Tensor>>, row: number): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { type, dims, data }]): [string, Tensor] => {
      const size = data.length / dims[0]!;
      // A copy: the batch is not kept for the sake of one row.
      return [name, { type, dims: [1, ...dims.slice(1)], data: data.slice(row * size, (row + 1) * size) }];
    }),
  );
}
