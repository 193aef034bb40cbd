/** @file MatMulNBits against ONNX Runtime's own kernel. */

import { expect, test } from 'vitest';
import {
  between,
  bytes,
  describeExpansions,
  expansionOf,
  type Fused,
  integers,
  w,
  x,
} from '../../../../../../test/support/expansion.ts';

const op = 'MatMulNBits';
const sizes = { batch: 2, seq: 3 };
const activations = x('batch', 'seq', 40);
// K = 40 in blocks of 16: three blocks, the last half full.
const attributes = { K: 40, N: 6, block_size: 16, bits: 4 };
const packed = bytes('uint8', 0, 256, 6, 3, 8);
const scales = between(0.05, 0.2, w(18));

describeExpansions({
  'four bits': { op, sizes, attributes, inputs: [activations, packed, scales] },
  'zero points in half bytes': { op, sizes, attributes, inputs: [activations, packed, scales, bytes('uint8', 0, 256, 12)] },
  'zero points as floats': { op, sizes, attributes, inputs: [activations, packed, scales, between(4, 11, w(18))] },
  'whole blocks, even in number': {
    op, sizes, attributes: { K: 64, N: 5, block_size: 32, bits: 4 },
    inputs: [x('batch', 64), bytes('uint8', 0, 256, 5, 2, 16), between(0.05, 0.2, w(10)), bytes('uint8', 0, 256, 5)],
  },
  'eight bits': {
    op, sizes, attributes: { ...attributes, bits: 8 },
    inputs: [activations, bytes('uint8', 0, 256, 6, 3, 16), between(0.001, 0.01, w(18))],
  },
  'eight bits with zero points': {
    op, sizes, attributes: { ...attributes, bits: 8 },
    inputs: [activations, bytes('uint8', 0, 256, 6, 3, 16), between(0.001, 0.01, w(18)), bytes('uint8', 90, 160, 18)],
  },
  bias: { op, sizes, attributes, inputs: [activations, packed, scales, undefined, undefined, w(6)] },
} satisfies Record<string, Fused>); // prettier-ignore

test('names the weight', () => {
  const { nodes } = expansionOf({ op, sizes, attributes, inputs: [activations, packed, scales] })!;
  expect(nodes.at(-1)).toMatchObject({ opType: 'MatMul', name: '/layer/Fused', input: ['in0', '/layer/Fused/weight'] });
});

test('leaves other orders and widths alone', () => {
  const order = integers(
    'int32',
    [40],
    Array.from({ length: 40 }, (_, i) => i % 3),
  );
  expect(
    expansionOf({ op, sizes, attributes, inputs: [activations, packed, scales, undefined, order] }),
  ).toBeUndefined();
  expect(
    expansionOf({ op, sizes, attributes: { ...attributes, bits: 3 }, inputs: [activations, packed, scales] }),
  ).toBeUndefined();
});
