/** @file Operators on 8-bit integers against ONNX Runtime's own kernels. */

import { expect, test } from 'vitest';
import {
  between,
  bytes,
  describeExpansions,
  expansionOf,
  fed,
  fixed,
  type Fused,
  integers,
  type Operand,
  runExpanded,
  x,
} from '../../../../../../test/support/expansion.ts';
import { float } from '../../../graph/attributes.ts';
import type { Dim } from '../../../graph/value.ts';
import { tensor } from '../../../runtime/tensor.ts';

const sizes = { batch: 2, seq: 5 };
const image = fed(bytes('uint8', 0, 256, 'batch', 4, 6, 5));
const scale = (value: number, ...more: number[]): Operand => ({
  shape: more.length > 0 ? [more.length + 1] : [],
  constant: true,
  values: (_, dims) => tensor('float32', Float32Array.of(value, ...more), dims),
});
const zero = (type: 'uint8' | 'int8', value: number): Operand => fixed(integers(type, [], [value]));
const x8 = (...shape: Dim[]): Operand[] => [fed(bytes('uint8', 0, 256, ...shape)), scale(0.02), zero('uint8', 130)];
const y8 = [scale(0.03), zero('uint8', 150)];
const columns = fixed(between(0.01, 0.02, { shape: [6] }));
const outputs = fixed(between(0.005, 0.01, { shape: [6] }));
/** 7 bits: not every processor adds two products of larger values exactly. */
const weight = (...shape: Dim[]): Operand => bytes('int8', -63, 64, ...shape);
const kernel = weight(6, 4, 3, 2);
const none = fixed(integers('int8', [6], [0, 0, 0, 0, 0, 0]));
const bias = fixed(integers('int32', [6], [900, -3000, 40, 0, 20000, -7]));
const inputOfConv = [image, scale(0.02), zero('uint8', 130)];
const standard = { domain: '', sizes };

// Rounding to integers may go the other way where the float lies in the middle: one of 128 steps.
const step = 1 / 127;

describeExpansions(
  {
    QLinearMatMul: { ...standard, op: 'QLinearMatMul', inputs: [...x8('batch', 'seq', 4), weight(4, 6), scale(0.01), zero('int8', 3), scale(0.05), zero('uint8', 128)] },
    'QLinearMatMul with a scale a column': { ...standard, op: 'QLinearMatMul', inputs: [...x8('batch', 'seq', 4), weight(4, 6), columns, none, scale(0.05), zero('uint8', 128)] },
    'QLinearMatMul to signed': { ...standard, op: 'QLinearMatMul', inputs: [fed(bytes('int8', -127, 128, 'batch', 'seq', 4)), scale(0.02), zero('int8', -4), weight(4, 6), scale(0.01), zero('int8', 3), scale(0.05), zero('int8', 1)] },
    QLinearConv: { ...standard, op: 'QLinearConv', attributes: { pads: [1, 0, 2, 1], strides: [2, 1] }, inputs: [...inputOfConv, kernel, scale(0.01), zero('int8', 0), scale(0.1), zero('uint8', 128)] },
    'QLinearConv with a bias, and a scale an output': { ...standard, op: 'QLinearConv', inputs: [...inputOfConv, kernel, outputs, none, scale(0.1), zero('uint8', 128), bias] },
    'QLinearConv, channels last': { sizes, op: 'QLinearConv', attributes: { channels_last: 1 }, inputs: [...x8('batch', 6, 5, 4), kernel, outputs, none, scale(0.1), zero('uint8', 128), bias] },
    'QGemm to floats': { sizes, op: 'QGemm', attributes: { transB: 1, alpha: float(0.5) }, inputs: [...x8('batch', 4), weight(6, 4), outputs, none, bias] },
    QGemm: { sizes, op: 'QGemm', inputs: [...x8('batch', 4), weight(4, 6), scale(0.01), zero('int8', 2), undefined, scale(0.05), zero('uint8', 128)] },
    QLinearAdd: { sizes, op: 'QLinearAdd', inputs: [...x8('batch', 'seq', 4), ...x8(4), scale(0.05), zero('uint8', 128)] },
    QLinearMul: { sizes, op: 'QLinearMul', inputs: [...x8('batch', 'seq', 4), ...x8('seq', 1), scale(0.06), zero('uint8', 128)] },
    QLinearSigmoid: { sizes, op: 'QLinearSigmoid', inputs: [...x8('batch', 'seq', 4), scale(1 / 255), zero('uint8', 0)] },
    QLinearLeakyRelu: { sizes, op: 'QLinearLeakyRelu', attributes: { alpha: 0.3 }, inputs: [...x8('batch', 'seq', 4), ...y8] },
    QLinearSoftmax: { sizes, op: 'QLinearSoftmax', attributes: { opset: 13, axis: -1 }, inputs: [...x8('batch', 'seq', 4), scale(1 / 255), zero('uint8', 0)] },
    QLinearAveragePool: { sizes, op: 'QLinearAveragePool', attributes: { kernel_shape: [2, 3], pads: [1, 1, 0, 0] }, inputs: [...inputOfConv, ...y8] },
    'QLinearAveragePool, channels last': { sizes, op: 'QLinearAveragePool', attributes: { kernel_shape: [2, 3], channels_last: 1 }, inputs: [...x8('batch', 6, 5, 4), ...y8] },
    QLinearGlobalAveragePool: { sizes, op: 'QLinearGlobalAveragePool', inputs: [...inputOfConv, scale(0.005), zero('uint8', 128)] },
    QLinearConcat: { sizes, op: 'QLinearConcat', attributes: { axis: 1 }, inputs: [...y8, ...x8('batch', 3, 4), ...x8('batch', 2, 4)] },
    QLinearWhere: { sizes, op: 'QLinearWhere', inputs: [integers('bool', [4], [1, 0, 0, 1]), ...x8('batch', 'seq', 4), ...x8('seq', 1), ...y8] },
    QuantizeLinear: { sizes, op: 'QuantizeLinear', inputs: [x('batch', 4), scale(0.01), zero('int8', 5)] },
    'QuantizeLinear by an axis': { sizes, op: 'QuantizeLinear', opset: 17, attributes: { axis: 1 }, inputs: [x('batch', 6, 2), columns, none] },
    DequantizeLinear: { sizes, op: 'DequantizeLinear', inputs: x8('batch', 4) },
    'DequantizeLinear of 16 bits': { sizes, opset: 21, op: 'DequantizeLinear', inputs: [{ shape: ['batch', 4], values: (random, dims) => tensor('uint16', Uint16Array.from({ length: 8 }, () => random.index(65536)), dims) }, scale(0.001)] },
  } satisfies Record<string, Fused>,
  step,
); // prettier-ignore

test('weights stay what DequantizeLinear reads', () => {
  const inputs = [...inputOfConv, kernel, outputs, none, scale(0.1), zero('uint8', 128), bias];
  const { nodes } = expansionOf({ ...standard, op: 'QLinearConv', inputs }, true)!;
  const weight = nodes.find(({ output }) => output![0] === '/layer/Fused/weight')!;
  expect([weight.opType, ...weight.input!]).toEqual(['DequantizeLinear', 'in3', 'in4', 'in5']);
  expect(nodes.find(({ name }) => name === '/layer/Fused')!.opType).toBe('Conv');
});

test('leaves 16 bits before opset 21 alone', () => {
  const wide = { shape: [4], values: () => tensor('uint16', new Uint16Array(4), [4]) };
  expect(expansionOf({ op: 'DequantizeLinear', inputs: [wide, scale(0.1)] })).toBeUndefined();
});

// ONNX Runtime's kernels crash without zero points, although the operators allow it.
test('without zero points the result has the type of the operand', async () => {
  const inputs = [fed(bytes('int8', -127, 128, 3, 4)), scale(0.02), undefined, scale(0.03)];
  const { feeds, outputs: found } = await runExpanded({ op: 'QLinearLeakyRelu', attributes: { alpha: 0.3 }, inputs });
  expect(found['out0']!.type).toBe('int8');
  const codes = Array.from(feeds['in0']!.data as Int8Array);
  const wanted = codes.map((code) => (code * (code < 0 ? 0.3 : 1) * 0.02) / 0.03);
  found['out0']!.data.forEach((code, i) => expect(Math.abs(Number(code) - wanted[i]!)).toBeLessThanOrEqual(0.501));
});
