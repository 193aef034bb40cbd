/** @file Products with 8-bit operands against ONNX Runtime's own kernels. */

import {
  between,
  bytes,
  describeExpansions,
  fed,
  fixed,
  type Fused,
  integers,
  w,
  x,
} from '../../../../../../test/support/expansion.ts';

const sizes = { batch: 2, seq: 4, past: 3 };
const input = x('batch', 'seq', 16);
const scale = fixed(between(0.01, 0.02, { shape: [1] }));
const columnScales = fixed(between(0.01, 0.02, { shape: [12] }));
const weight = bytes('int8', -127, 128, 16, 12);

describeExpansions({
  'one scale': { op: 'DynamicQuantizeMatMul', sizes, inputs: [input, weight, scale] },
  'a scale a column, zero points and a bias': {
    op: 'DynamicQuantizeMatMul', sizes, inputs: [input, weight, columnScales, bytes('int8', -5, 6, 12), w(12)],
  },
  'unsigned weight': { op: 'DynamicQuantizeMatMul', sizes, inputs: [input, bytes('uint8', 0, 256, 16, 12), scale, bytes('uint8', 120, 136, 1)] },
  MatMulIntegerToFloat: {
    op: 'MatMulIntegerToFloat', sizes,
    inputs: [fed(bytes('uint8', 0, 256, 'batch', 'seq', 16)), weight, scale, columnScales, bytes('uint8', 120, 136, 1), bytes('int8', -5, 6, 12), w(12)],
  },
  'MatMulIntegerToFloat without zero points': {
    op: 'MatMulIntegerToFloat', sizes, inputs: [fed(bytes('int8', -127, 128, 'batch', 'seq', 16)), weight, scale, scale],
  },
} satisfies Record<string, Fused>); // prettier-ignore

const heads = { num_heads: 2 };
/** 7 bits: not every processor adds two products of larger values exactly. */
const packed = bytes('int8', -63, 64, 8, 24);
const one = fixed(between(0.01, 0.02, { shape: [] }));
const quantized = [fed(bytes('uint8', 0, 256, 'batch', 'seq', 8)), packed, w(24), one];

describeExpansions({
  QAttention: { op: 'QAttention', sizes, attributes: heads, inputs: [...quantized, one] },
  'a scale a column, zero points and a mask': {
    op: 'QAttention', sizes, attributes: heads,
    inputs: [...quantized, fixed(between(0.01, 0.02, { shape: [24] })), integers('int32', ['batch'], [3, 4]), bytes('uint8', 120, 136), bytes('int8', 0, 1, 24)],
  },
  'past and present': {
    op: 'QAttention', sizes, attributes: { ...heads, unidirectional: 1 }, outputs: [true, true],
    inputs: [...quantized, one, undefined, bytes('uint8', 120, 136), bytes('int8', -3, 3), x(2, 'batch', 2, 'past', 4)],
  },
} satisfies Record<string, Fused>); // prettier-ignore
