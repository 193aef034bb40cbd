/** @file Attention of the standard domain against ONNX Runtime's own kernel. */

import { describeExpansions, type Fused, integers, x } from '../../../../../../test/support/expansion.ts';

const sizes = { batch: 2, seq: 4, keys: 5, past: 3, total: 8 };
const base = { op: 'Attention', domain: '', opset: 23, sizes };
const byHead = [x('batch', 4, 'seq', 8), x('batch', 4, 'keys', 8), x('batch', 4, 'keys', 6)];
const grouped = [x('batch', 4, 'seq', 8), x('batch', 2, 'keys', 8), x('batch', 2, 'keys', 6)];
const joined = [x('batch', 'seq', 32), x('batch', 'keys', 16), x('batch', 'keys', 12)];
const heads = { q_num_heads: 4, kv_num_heads: 2 };
const bools = integers(
  'bool',
  ['seq', 'keys'],
  Array.from({ length: 20 }, (_, i) => Number(i % 3 !== 1)),
);
const past = [x('batch', 2, 'past', 8), x('batch', 2, 'past', 6)];

describeExpansions({
  'by head': { ...base, inputs: byHead },
  'fewer heads of keys': { ...base, inputs: grouped },
  joined: { ...base, attributes: heads, inputs: joined },
  scale: { ...base, attributes: { ...heads, scale: 0.5 }, inputs: joined },
  softcap: { ...base, attributes: { ...heads, softcap: 0.5 }, inputs: joined },
  'mask of bools': { ...base, attributes: heads, inputs: [...joined, bools] },
  'mask of floats': { ...base, inputs: [...byHead, x('batch', 1, 'seq', 'keys')] },
  causal: { ...base, attributes: { is_causal: 1 }, inputs: [x('batch', 4, 'seq', 8), x('batch', 4, 'seq', 8), x('batch', 4, 'seq', 8)] },
  'past and present': { ...base, attributes: heads, inputs: [...joined, undefined, ...past], outputs: [true, true, true] },
  'past and present, causal': {
    ...base, attributes: { ...heads, is_causal: 1 }, outputs: [true, true, true],
    inputs: [x('batch', 'seq', 32), x('batch', 'seq', 16), x('batch', 'seq', 12), undefined, ...past],
  },
  'the scores': { ...base, attributes: heads, inputs: [...joined, bools], outputs: [true, false, false, true] },
  'the scores with the mask': { ...base, attributes: { ...heads, qk_matmul_output_mode: 2, softcap: 0.5 }, inputs: [...joined, x('seq', 'keys')], outputs: [true, false, false, true] },
  'the scores after softcap': {
    ...base, attributes: { ...heads, qk_matmul_output_mode: 1, softcap: 0.5 },
    inputs: [...joined, x('seq', 'keys')], outputs: [true, false, false, true],
  },
  'the softmax': { ...base, attributes: { ...heads, qk_matmul_output_mode: 3 }, inputs: [...joined, bools], outputs: [true, false, false, true] },
  lengths: { ...base, opset: 24, inputs: [...grouped, undefined, undefined, undefined, integers('int64', ['batch'], [3, 5])] },
} satisfies Record<string, Fused>); // prettier-ignore
