/** @file What several adapters make of numbers that they replace or move. */

import { OnnxLoraError } from '../../errors.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import type { Weighted } from './moduleTuning.ts';

/**
 * base + Σ wᵢ·(tensorᵢ − base).
 *
 * @param head the module, where these are parameters of a head
 * @throws OnnxLoraError `INPUT_INVALID` for tensors of other sizes than the base's
 */
export function moved(parts: readonly Weighted[], base: Tensor, head?: string): Tensor {
  if (parts.some(({ tensor }) => tensor.data.length !== base.data.length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Adapters with heads "${head}" of another number of outputs than the base's cannot be blended. Name one of them.`,
    );
  }
  const from = base.data as Float32Array;
  const data = from.slice();
  for (const { tensor, weight } of parts) {
    const to = tensor.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i]! += weight * (to[i]! - from[i]!);
  }
  return float32(data, base.dims);
}
