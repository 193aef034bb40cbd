/** @file Feeds of a text encoder. */

import { type Feeds, int64, type Tensor, tensor } from '@onnx-lora/sdk';

type Inputs = Readonly<Record<string, { readonly type: string } | undefined>>;

/**
 * Tokens of prompts as a text encoder's graph takes them. Where it takes a mask too, as a tower of CLIP does, no token
 * is padding, as in diffusers.
 */
export function promptFeeds(inputs: Inputs, rows: readonly (readonly number[])[]): Feeds {
  const ids = rows.flat();
  const dims = [rows.length, rows[0]!.length];
  const whole = (name: string, values: readonly number[]): Tensor =>
    inputs[name]?.type === 'int32' ? tensor('int32', Int32Array.from(values), dims) : int64(values, dims);
  return {
    input_ids: whole('input_ids', ids),
    ...(inputs['attention_mask'] && { attention_mask: whole('attention_mask', new Array<number>(ids.length).fill(1)) }),
  };
}
