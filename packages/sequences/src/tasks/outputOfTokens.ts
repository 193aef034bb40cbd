/** @file Finds the output with scores per token. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';

/** Scores or other numbers per token, `[batch, tokens, width]`. */
export interface TokenOutput {
  /** Rows of the batch. */
  readonly rows: number;
  /** Tokens per row, padding included. */
  readonly tokens: number;
  /** Numbers per token. */
  readonly width: number;
  /** A view of one token's numbers. */
  at(row: number, token: number): Float32Array;
}

/**
 * Reads the output `name`.
 * @throws OnnxLoraError `INPUT_INVALID` unless it is float32 `[batch, tokens, width]`
 */
export function tokenOutput(outputs: Readonly<Record<string, Tensor>>, name: string, width: number): TokenOutput {
  const tensor = outputs[name];
  const data = tensor?.data;
  if (!tensor || !(data instanceof Float32Array) || tensor.dims.length !== 3 || tensor.dims[2] !== width) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The output "${name}" must be float32 [batch, tokens, ${width}], but the session gave ${tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing'}. Run the model that the task was prepared for.`,
    );
  }
  const [rows, tokens] = tensor.dims as readonly [number, number];
  return {
    rows,
    tokens,
    width,
    at: (row, token) => {
      const from = (row * tokens + token) * width;
      return checked(data.subarray(from, from + width), name, row);
    },
  };
}

/** Rejects NaN and infinite scores, so that a broken model cannot look right by chance. */
function checked(scores: Float32Array, name: string, row: number): Float32Array {
  for (const score of scores) {
    if (score < Infinity) continue;
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      `The output "${name}" has the score ${score} in row ${row} of the batch. The adapter has probably diverged: train it again with a lower learning rate.`,
    );
  }
  return scores;
}
