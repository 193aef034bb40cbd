/** @file Requests of images or short texts, in the Open Inference Protocol with binary tensors. */

import type { Random } from '@onnx-lora/sdk/data';

/** Images of one size, or texts of so many tokens. */
export type Asked =
  | { readonly kind: 'images'; readonly image: number }
  | { readonly kind: 'texts'; readonly vocabulary: number; readonly lengths: readonly [least: number, most: number] };

/** A request without its adapter. */
export interface Inputs {
  /** Declarations of the inputs, in the order of their bytes. */
  readonly declared: readonly object[];
  readonly bytes: Uint8Array;
}

/** A request with values that are drawn. */
export function drawInputs(asked: Asked, random: Random): Inputs {
  if (asked.kind === 'images') {
    const shape = [1, 3, asked.image, asked.image];
    const pixels = Float32Array.from({ length: 3 * asked.image ** 2 }, () => random.uniform(-1, 1));
    return declaredAs('FP32', shape, { pixel_values: pixels });
  }
  const [least, most] = asked.lengths;
  const length = least + random.index(most - least + 1);
  const tokens = BigInt64Array.from({ length }, () => BigInt(random.index(asked.vocabulary)));
  const mask = new BigInt64Array(length).fill(1n);
  return declaredAs('INT64', [1, length], {
    input_ids: tokens,
    attention_mask: mask,
    token_type_ids: new BigInt64Array(length),
  });
}

function declaredAs(
  datatype: string,
  shape: readonly number[],
  values: Readonly<Record<string, Float32Array | BigInt64Array>>,
): Inputs {
  const all = Object.entries(values);
  const bytes = Buffer.concat(all.map(([, { buffer }]) => new Uint8Array(buffer)));
  const declared = all.map(([name, { byteLength }]) => {
    return { name, datatype, shape, parameters: { binary_data_size: byteLength } };
  });
  return { declared, bytes };
}
