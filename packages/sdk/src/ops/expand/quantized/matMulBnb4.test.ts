/** @file MatMulBnb4 against ONNX Runtime's own kernel. */

import {
  between,
  bytes,
  describeExpansions,
  expansionOf,
  fixed,
  type Fused,
  x,
} from '../../../../../../test/support/expansion.ts';
import { expect, test } from 'vitest';

const sizes = { batch: 2, seq: 3 };
const attributes = { K: 24, N: 8, block_size: 16, quant_type: 1 };
const weight = [bytes('uint8', 0, 256, 96), fixed(between(0.5, 2, { shape: [12] }))];
const base = { op: 'MatMulBnb4', sizes, attributes, inputs: [x('batch', 'seq', 24), ...weight] };

describeExpansions({
  NF4: base,
  FP4: { ...base, attributes: { ...attributes, quant_type: 0 } },
} satisfies Record<string, Fused>);

test('leaves a block that is not full alone', () => {
  const change = { attributes: { ...attributes, block_size: 128 } };
  expect(expansionOf({ ...base, ...change })).toBeUndefined();
});
