/** @file MultiHeadAttention and DecoderMaskedMultiHeadAttention against ONNX Runtime's own kernels. */

import { describe, expect, test } from 'vitest';
import {
  compareExpansion, describeExpansions, expansionOf, type Fused, integers, runExpanded, w, x,
} from '../../../../../../test/support/expansion.ts'; // prettier-ignore

const sizes = { batch: 2, seq: 4, keys: 5, past: 3, total: 7 };
const heads = { num_heads: 2 };
const op = 'MultiHeadAttention';
const self = [x('batch', 'seq', 8), x('batch', 'seq', 8), x('batch', 'seq', 8)];
const cross = [x('batch', 'seq', 8), x('batch', 'keys', 8), x('batch', 'keys', 6)];
const ones = (count: number): number[] => Array.from({ length: count }, (_, i) => Number(i % 4 !== 2));

describeExpansions({
  'self attention': { op, sizes, attributes: heads, inputs: self },
  'cross attention, values of another width': { op, sizes, attributes: { ...heads, scale: 0.3 }, inputs: cross },
  bias: { op, sizes, attributes: heads, inputs: [...cross, w(22)] },
  'lengths as mask': { op, sizes, attributes: heads, inputs: [...cross, undefined, integers('int32', ['batch'], [5, 3])] },
  'mask of keys': {
    op, sizes, attributes: { ...heads, mask_filter_value: -2.5 },
    inputs: [...cross, w(22), integers('int32', ['batch', 'keys'], ones(10))],
  },
  'mask of pairs': { op, sizes, attributes: heads, inputs: [...cross, undefined, integers('int32', ['batch', 'seq', 'keys'], ones(40))] },
  'attention bias': { op, sizes, attributes: heads, inputs: [...cross, undefined, undefined, x('batch', 2, 'seq', 'keys')] },
  'attention bias for all': { op, sizes, attributes: heads, inputs: [...cross, undefined, undefined, x(1, 1, 'seq', 'keys')] },
  unidirectional: { op, sizes, attributes: { ...heads, unidirectional: 1 }, inputs: self },
  'past and present': {
    op, sizes, attributes: { ...heads, unidirectional: 1 }, outputs: [true, true, true],
    inputs: [...self, w(24), undefined, undefined, x('batch', 2, 'past', 4), x('batch', 2, 'past', 4)],
  },
  'past, present and a mask': {
    op, sizes, attributes: heads, outputs: [true, true, true],
    inputs: [...self, undefined, integers('int32', ['batch', 'total'], ones(14)), undefined, x('batch', 2, 'past', 4), x('batch', 2, 'past', 4)],
  },
  'present without past': { op, sizes, attributes: heads, outputs: [true, true, true], inputs: self },
  'keys and values by head': { op, sizes, attributes: heads, inputs: [x('batch', 'seq', 8), x('batch', 2, 'keys', 4), x('batch', 2, 'keys', 4)] },
  'one step of a decoder': {
    op: 'DecoderMaskedMultiHeadAttention', sizes, attributes: { ...heads, output_qk: 1, scale: 0.4 }, outputs: [true, false, false, true],
    inputs: [x('batch', 1, 8), x('batch', 2, 'keys', 4), x('batch', 2, 'keys', 4), integers('int32', ['batch', 'keys'], ones(10))],
  },
} satisfies Record<string, Fused>); // prettier-ignore

test('the scores', async () => {
  const found = await compareExpansion(
    {
      op,
      sizes,
      attributes: heads,
      inputs: [...cross, undefined, undefined, x(1, 1, 'seq', 'keys')],
      outputs: [true, false, false, true],
    },
    true,
  );
  expect(found!.error).toBeLessThan(1e-5);
});

// ONNX Runtime's CPU kernel has no packed inputs.
describe('packed inputs', () => {
  test('query, key and value', async () => {
    const packed = await runExpanded({ op, attributes: heads, inputs: [x(2, 3, 2, 3, 4)] });
    const values = packed.feeds['in0']!.data as Float32Array;
    // [batch 2, positions 3, heads 2, q/k/v 3, width 4] → [batch 2, positions 3, hidden 8]
    const part = (which: number): Float32Array =>
      Float32Array.from({ length: 48 }, (_, i) => values[Math.floor(i / 4) * 12 + which * 4 + (i % 4)]!);
    const apart = await runExpanded({
      op,
      attributes: heads,
      inputs: [0, 1, 2].map((which) => ({
        shape: [2, 3, 8],
        values: (_, dims) => ({ type: 'float32', dims, data: part(which) }),
      })),
    });
    expect(packed.outputs).toEqual(apart.outputs);
  });

  test('key and value', async () => {
    const packed = await runExpanded({ op, attributes: heads, inputs: [x(2, 4, 8), x(2, 3, 2, 2, 4)] });
    const values = packed.feeds['in1']!.data as Float32Array;
    const part = (which: number): Float32Array =>
      Float32Array.from({ length: 48 }, (_, i) => values[Math.floor(i / 4) * 8 + which * 4 + (i % 4)]!);
    const apart = await runExpanded({
      op,
      attributes: heads,
      inputs: [
        x(2, 4, 8),
        ...[0, 1].map((which) => ({
          shape: [2, 3, 8],
          values: (_: unknown, dims: readonly number[]) => ({ type: 'float32' as const, dims, data: part(which) }),
        })),
      ],
    });
    expect(packed.outputs).toEqual(apart.outputs);
  });
});

test('leaves beam search alone', () => {
  const past = [x('batch', 2, 'past', 4), x('batch', 2, 'past', 4)];
  const inputs = [...self, undefined, undefined, undefined, ...past, integers('int32', [1], [3])];
  expect(expansionOf({ op, sizes, attributes: heads, inputs })).toBeUndefined();
});
