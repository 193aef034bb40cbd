/** @file GatherBlockQuantized against ONNX Runtime's own kernel. */

import { expect, test } from 'vitest';
import {
  bytes,
  describeExpansions,
  expansionOf,
  type Fused,
  integers,
  type Operand,
  w,
} from '../../../../../../test/support/expansion.ts';
import type { Dim } from '../../../graph/value.ts';

const rows = integers('int64', ['batch', 'seq'], [4, 0, 6, 1, 2, 3]);
const attributes = { bits: 4, block_size: 16, quantize_axis: 1, gather_axis: 0 };
const base = { op: 'GatherBlockQuantized', opset: 21, sizes: { batch: 2, seq: 3 }, attributes };
const four = (fourBits: 21 | 22, ...shape: Dim[]): Operand => ({ shape, fourBits });

describeExpansions({
  'rows of four bits': { ...base, inputs: [bytes('uint8', 0, 256, 7, 24), rows, w(7, 3)] },
  'zero points of four bits': { ...base, inputs: [bytes('uint8', 0, 256, 7, 24), rows, w(7, 3), bytes('uint8', 0, 256, 7, 2)] },
  'rows of eight bits': { ...base, attributes: { ...attributes, bits: 8 }, inputs: [bytes('uint8', 0, 256, 7, 40), rows, w(7, 3), bytes('uint8', 100, 150, 7, 3)] },
  'unsigned type of four bits': { ...base, inputs: [four(21, 7, 48), rows, w(7, 3), four(21, 7, 3)] },
  'signed type of four bits': { ...base, inputs: [four(22, 7, 48), rows, w(7, 3)] },
  'other axes': { ...base, attributes: { ...attributes, quantize_axis: 0, gather_axis: 1 }, inputs: [four(22, 32, 7), rows, w(2, 7)] },
} satisfies Record<string, Fused>); // prettier-ignore

test('the table of a 4-bit type is one that DequantizeLinear makes', () => {
  const { nodes } = expansionOf({ ...base, inputs: [four(22, 7, 48), rows, w(7, 3)] })!;
  expect(nodes.map(({ opType, input }) => [opType, input![0]])).toEqual([
    ['DequantizeLinear', 'in0'],
    ['Gather', '/layer/Fused/weight'],
  ]);
});
