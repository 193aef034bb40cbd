/** @file Attention of com.microsoft against ONNX Runtime's own kernel. */

import { expect, test } from 'vitest';
import {
  between,
  compareExpansion,
  describeExpansions,
  expansionOf,
  type Fused,
  integers,
  runExpanded,
  w,
  x,
} from '../../../../../../test/support/expansion.ts';
import { float } from '../../../graph/attributes.ts';

const sizes = { batch: 2, seq: 5, past: 3, total: 8 };
const basic = [x('batch', 'seq', 6), w(6, 24), w(24)] as const;
const heads = { num_heads: 2 };

const cases: Record<string, Fused> = {
  plain: { op: 'Attention', attributes: heads, inputs: [...basic] },
  'one query': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [x('batch', 1, 6), w(6, 24), w(24)],
  },
  unidirectional: { op: 'Attention', attributes: { ...heads, unidirectional: 1 }, inputs: [...basic] },
  scale: { op: 'Attention', attributes: { ...heads, scale: 0.25 }, inputs: [...basic] },
  'values of another width': {
    op: 'Attention',
    attributes: { ...heads, qkv_hidden_sizes: [6, 6, 4] },
    inputs: [x('batch', 'seq', 6), w(6, 16), w(16)],
  },
  'lengths as mask': {
    op: 'Attention',
    attributes: heads,
    inputs: [...basic, integers('int32', ['batch'], [3, 5])],
  },
  'mask of keys': {
    op: 'Attention',
    attributes: { ...heads, mask_filter_value: float(-1) },
    inputs: [...basic, integers('int32', ['batch', 'seq'], [1, 1, 1, 0, 0, 1, 0, 1, 1, 1])],
  },
  'mask of keys, unidirectional': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [...basic, integers('int32', ['batch', 'seq'], [1, 1, 1, 0, 0, 1, 0, 1, 1, 1])],
  },
  'mask of pairs': {
    op: 'Attention',
    attributes: { ...heads, mask_filter_value: -1.5 },
    inputs: [
      ...basic,
      integers(
        'int32',
        ['batch', 'seq', 'seq'],
        Array.from({ length: 50 }, (_, i) => Number(i % 3 > 0)),
      ),
    ],
  },
  'mask of pairs, unidirectional': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [
      ...basic,
      integers(
        'int32',
        ['batch', 'seq', 'seq'],
        Array.from({ length: 50 }, (_, i) => Number(i % 4 !== 1)),
      ),
    ],
  },
  'attention bias': {
    op: 'Attention',
    attributes: heads,
    inputs: [...basic, undefined, undefined, x('batch', 2, 'seq', 'seq')],
  },
  'attention bias, broadcast, beside a mask': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [...basic, integers('int32', ['batch'], [4, 5]), undefined, x(1, 1, 'seq', 'seq')],
  },
  'past and present': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [...basic, undefined, x(2, 'batch', 2, 'past', 4)],
    outputs: [true, true],
  },
  'past, present and a mask': {
    op: 'Attention',
    attributes: { ...heads, unidirectional: 1 },
    inputs: [
      ...basic,
      integers('int32', ['batch', 'total'], [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]),
      x(2, 'batch', 2, 'past', 4),
    ],
    outputs: [true, true],
  },
  'present without past': { op: 'Attention', attributes: heads, inputs: [...basic], outputs: [true, true] },
};

describeExpansions(Object.fromEntries(Object.entries(cases).map(([name, fused]) => [name, { ...fused, sizes }])));

test('ends and starts as mask', async () => {
  const mask = integers('int32', [4], [5, 4, 1, 2]);
  const found = await compareExpansion({ op: 'Attention', attributes: heads, inputs: [...basic, mask], sizes }, false);
  expect(found!.error).toBeLessThan(1e-5);
});

// ONNX Runtime's CPU kernel crashes without a bias, although the operator allows it.
test('without a bias, as with one of zeros', async () => {
  const without = await runExpanded({ op: 'Attention', attributes: heads, inputs: basic.slice(0, 2), sizes });
  const zeros = between(0, 0, w(24));
  const withZeros = await runExpanded({
    op: 'Attention',
    attributes: heads,
    inputs: [...basic.slice(0, 2), zeros],
    sizes,
  });
  expect(without.outputs).toEqual(withZeros.outputs);
});

test('a mask in a square of the longest sequence, as its rows behind the past', async () => {
  const values = Array.from({ length: 200 }, (_, i) => Number(i % 7 > 2));
  const past = x(2, 'batch', 2, 'past', 4);
  const square = integers('int32', ['batch', 1, 10, 10], values);
  const cut = values.filter((_, i) => Math.floor(i / 10) % 10 >= 3 && Math.floor(i / 10) % 10 < 8 && i % 10 < 8);
  const rows = integers('int32', ['batch', 'seq', 'total'], cut);
  const [left, right] = await Promise.all(
    [square, rows].map((mask) =>
      runExpanded({ op: 'Attention', attributes: heads, inputs: [...basic, mask, past], sizes }),
    ),
  );
  expect(left!.outputs).toEqual(right!.outputs);
});

test('names projections, and the weights and biases that they take from the packed ones', () => {
  const { nodes } = expansionOf({ op: 'Attention', attributes: heads, inputs: [...basic], sizes }, true)!;
  const products = nodes.filter(({ opType }) => opType === 'MatMul').slice(0, 3);
  expect(products.map(({ name }) => name)).toEqual(['/layer/Fused/q', '/layer/Fused/k', '/layer/Fused/v']);
  expect(products.map(({ input }) => input)).toEqual(
    ['q', 'k', 'v'].map((part) => ['in0', `/layer/Fused/${part}.weight`]),
  );
  const slices = nodes.filter(({ opType, input }) => opType === 'Slice' && ['in1', 'in2'].includes(input![0]!));
  expect(slices.map(({ input, output }) => [input![0], output![0]])).toEqual(
    ['q', 'k', 'v'].flatMap((part) => [
      ['in1', `/layer/Fused/${part}.weight`],
      ['in2', `/layer/Fused/${part}.bias`],
    ]),
  );
});

test.each([
  ['rotary embedding inside', { attributes: { ...heads, do_rotary: 1 } }],
  ['a shared past buffer', { attributes: { ...heads, past_present_share_buffer: 1 } }],
  ['an attribute that no version has', { attributes: { ...heads, novelty: 1 } }],
  ['an opset before 11', { opset: 10 }],
])('leaves %s alone', (_, change) => {
  expect(expansionOf({ op: 'Attention', attributes: heads, inputs: [...basic], sizes, ...change })).toBeUndefined();
});
