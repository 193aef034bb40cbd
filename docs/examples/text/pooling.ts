/** @file From states of tokens to one vector for a text: their mean without padding, of length 1, as sentence-transformers has it. */

import { float32, type Tensor } from '@onnx-lora/sdk';
import { type GraphBuilder, unitTensor, type Value } from '@onnx-lora/sdk/tasks';

/** ONNX's number of the type float32. */
const FLOAT = 1;

/** States float32 `[rows, tokens, width]` with a mask int64 `[rows, tokens]` → `[rows, width]`. */
export function pooledTensor({ data, dims }: Tensor, mask: Tensor): Tensor {
  const [rows, tokens, width] = dims as [number, number, number];
  const sums = new Float32Array(rows * width);
  data.forEach((value, i) => {
    const token = Math.floor(i / width);
    if (Number(mask.data[token]) !== 0) sums[Math.floor(token / tokens) * width + (i % width)]! += Number(value);
  });
  // At length 1, a sum is the same as a mean.
  return unitTensor(float32(sums, [rows, width]));
}

/** The same as part of a graph. */
export function pooledValue(g: GraphBuilder, states: Value, mask: Value): Value {
  const kept = g.Mul(states, g.Unsqueeze(g.Cast(mask, FLOAT), [2]));
  const sums = g.ReduceSum(kept, [1], false);
  const squares = g.ReduceSum(g.Mul(sums, sums), [1], true);
  return g.Div(sums, g.Sqrt(g.Add(squares, 1e-12)));
}
