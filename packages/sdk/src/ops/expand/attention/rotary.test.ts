/** @file RotaryEmbedding and GroupQueryAttention against ONNX Runtime's own kernels. */

import { expect, test } from 'vitest';
import {
  describeExpansions,
  expansionOf,
  type Fused,
  integers,
  type Operand,
  runExpanded,
  w,
  x,
} from '../../../../../../test/support/expansion.ts';
import { difference } from '../../../../../../test/support/graphs.ts';
import { float } from '../../../graph/attributes.ts';

const sizes = { batch: 2, seq: 4, past: 3, total: 7 };
const tables = [w(16, 4), w(16, 4)];
const offset = integers('int64', [1], [3]);
const ids = integers('int64', ['batch', 'seq'], [0, 1, 2, 3, 5, 4, 9, 8]);
const joined = x('batch', 'seq', 16);
const op = 'RotaryEmbedding';
const standard = { op, domain: '', opset: 23, sizes };

describeExpansions({
  'from an offset': { op, sizes, inputs: [joined, offset, ...tables] },
  'by positions': { op, sizes, inputs: [joined, ids, ...tables] },
  'pairs side by side': { op, sizes, attributes: { interleaved: 1 }, inputs: [joined, ids, ...tables] },
  'by head': { op, sizes, inputs: [x('batch', 3, 'seq', 8), ids, ...tables] },
  'part of the width': {
    op, sizes, attributes: { num_heads: 2, rotary_embedding_dim: 4 }, inputs: [joined, ids, w(16, 2), w(16, 2)],
  },
  'standard, by head': { ...standard, inputs: [x('batch', 3, 'seq', 8), ...tables, ids] },
  'standard, joined, pairs side by side': { ...standard, attributes: { num_heads: 2, interleaved: 1 }, inputs: [joined, ...tables, ids] },
  'standard, with tables of the positions': {
    ...standard, attributes: { num_heads: 2 }, inputs: [joined, x('batch', 'seq', 4), x('batch', 'seq', 4)],
  },
  'standard, part of the width': {
    ...standard, attributes: { num_heads: 2, rotary_embedding_dim: 4 }, inputs: [joined, w(16, 2), w(16, 2), ids],
  },
} satisfies Record<string, Fused>); // prettier-ignore

const gqa = 'GroupQueryAttention';
const heads = { num_heads: 4, kv_num_heads: 2 };
const apart = [x('batch', 'seq', 64), x('batch', 'seq', 32), x('batch', 'seq', 32)];
const prompt = [integers('int32', ['batch'], [3, 3]), integers('int32', [1], [4])];
const step = [integers('int32', ['batch'], [6, 6]), integers('int32', [1], [7])];
const one = [integers('int32', ['batch'], [3, 3]), integers('int32', [1], [4])];
const past = [x('batch', 2, 'past', 16), x('batch', 2, 'past', 16)];
const none = [undefined, undefined];
const wide = [w(16, 8), w(16, 8)];
const present = [true, true, true];

describeExpansions({
  'GroupQueryAttention of a prompt': { op: gqa, sizes, attributes: heads, outputs: present, inputs: [...apart, ...none, ...prompt] },
  'scale and softcap': { op: gqa, sizes, attributes: { ...heads, scale: 0.5, softcap: 0.75 }, outputs: present, inputs: [...apart, ...none, ...prompt] },
  'rotary embedding': { op: gqa, sizes, attributes: { ...heads, do_rotary: 1 }, outputs: present, inputs: [...apart, ...none, ...prompt, ...wide] },
  'rotary embedding, pairs side by side': {
    op: gqa, sizes, attributes: { ...heads, do_rotary: 1, rotary_interleaved: 1 }, outputs: present,
    inputs: [...apart, ...none, ...prompt, ...wide],
  },
  'packed, with rotary embedding': { op: gqa, sizes, attributes: { ...heads, do_rotary: 1 }, outputs: present, inputs: [x('batch', 'seq', 128), ...none, ...none, ...prompt, ...wide] },
  'a window': { op: gqa, sizes, attributes: { ...heads, local_window_size: 2 }, outputs: present, inputs: [...apart, ...none, ...prompt] },
  'one step behind a past': {
    op: gqa, sizes, attributes: { ...heads, do_rotary: 1, local_window_size: 3 }, outputs: present,
    inputs: [x('batch', 1, 64), x('batch', 1, 32), x('batch', 1, 32), ...past, ...one, ...wide],
  },
  'several steps behind a past': { op: gqa, sizes: { ...sizes, batch: 1 }, attributes: { ...heads, do_rotary: 1 }, outputs: present, inputs: [...apart, ...past, integers('int32', ['batch'], [6]), step[1], ...wide] },
  'attention bias': { op: gqa, sizes, attributes: heads, outputs: present, inputs: [...apart, ...none, ...prompt, ...none, undefined, x('batch', 4, 'seq', 'seq')] },
  'positions given': {
    op: gqa, sizes, attributes: { ...heads, do_rotary: 1 }, outputs: present,
    inputs: [...apart, ...none, ...prompt, ...wide, integers('int64', ['batch', 'seq'], [0, 1, 2, 3, 2, 3, 4, 5])],
  },
  'positions given behind a past': {
    op: gqa, sizes, attributes: { ...heads, do_rotary: 1 }, outputs: present,
    inputs: [x('batch', 1, 64), x('batch', 1, 32), x('batch', 1, 32), ...past, ...one, ...wide, integers('int64', ['batch', 1], [3, 7])],
  },
  'positions given behind an empty past': {
    op: gqa, sizes: { ...sizes, past: 0 }, attributes: { ...heads, do_rotary: 1 }, outputs: present,
    inputs: [...apart, ...past, ...prompt, ...wide, integers('int64', ['batch', 'seq'], [2, 9, 9, 9, 5, 5, 5, 5])],
  },
  'smooth softmax': { op: gqa, sizes, attributes: { ...heads, smooth_softmax: 1 }, outputs: present, inputs: [...apart, ...none, ...prompt] },
  'a sink': {
    op: gqa, sizes, attributes: heads, outputs: present,
    inputs: [...apart, ...none, ...prompt, ...none, undefined, undefined, w(4)],
  },
  'a sink and a window behind a past': {
    op: gqa, sizes, attributes: { ...heads, do_rotary: 1, local_window_size: 2 }, outputs: present,
    inputs: [x('batch', 1, 64), x('batch', 1, 32), x('batch', 1, 32), ...past, ...one, ...wide, undefined, undefined, w(4)],
  },
  'attributes that say nothing': {
    op: gqa, sizes, attributes: { ...heads, smooth_softmax: 0, local_window_size: -1, softcap: float(0) }, outputs: present,
    inputs: [...apart, ...none, ...prompt],
  },
} satisfies Record<string, Fused>); // prettier-ignore

test.each([
  ['attention to what follows', { attributes: { ...heads, causal: 0 } }],
  ['a windowed cache', { attributes: { ...heads, sliding_window_cache: 1 } }],
  [
    'lengths of queries',
    { inputs: [...apart, ...none, ...prompt, ...Array.from({ length: 9 }, () => undefined), prompt[0]] },
  ],
])('leaves %s alone', (_, change) => {
  const base = { op: gqa, sizes, attributes: heads, outputs: present, inputs: [...apart, ...none, ...prompt] };
  expect(expansionOf({ ...base, ...change })).toBeUndefined();
});

// The CPU has no kernel with norms inside.
test('queries and keys that are normalised first, as if they were normalised before', async () => {
  const weights = [w(16), w(16)];
  const inside = { op: gqa, sizes, attributes: { ...heads, do_rotary: 1, k_norm_epsilon: 1e-3 } };
  const rest = [...none, undefined, undefined, undefined];
  const { feeds, outputs } = await runExpanded({
    ...inside,
    inputs: [...apart, ...none, ...prompt, ...wide, ...rest, ...weights],
  });
  const normal = (index: number, epsilon: number): Operand => ({
    shape: feeds[`in${index}`]!.dims,
    values: (_, dims) => {
      const data = Float32Array.from(feeds[`in${index}`]!.data as Float32Array);
      const gain = feeds[`in${index + 14}`]!.data;
      for (let at = 0; at < data.length; at += 16) {
        const row = data.subarray(at, at + 16);
        const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / 16 + epsilon);
        row.forEach((value, i) => (row[i] = (value / size) * Number(gain[i])));
      }
      return { type: 'float32', dims, data };
    },
  });
  const again = (index: number): Operand => ({ shape: feeds[`in${index}`]!.dims, values: () => feeds[`in${index}`]! });
  const outside = await runExpanded({
    ...inside,
    attributes: { ...heads, do_rotary: 1 },
    inputs: [normal(0, 1e-6), normal(1, 1e-3), again(2), ...none, ...prompt, again(7), again(8)],
  });
  expect(difference(outputs['out0'], outside.outputs['out0'])).toBeLessThan(1e-5);
});
