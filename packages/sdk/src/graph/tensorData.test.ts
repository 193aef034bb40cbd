/** @file Tests of tensors' data. */

import { expect, it } from 'vitest';
import { fromBfloat16s, fromHalves } from '../runtime/halfFloat.ts';
import { dataTypeNumber } from './dataType.ts';
import { numberTensor, readTensor } from './tensorData.ts';

const integers = ['int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16', 'uint8'] as const;

it.each([...integers, 'float32', 'float64'] as const)('a number keeps the type %s', (type) => {
  const tensor = numberTensor(3, type, [1]);
  expect([tensor.type, tensor.dims, Number(tensor.data[0])]).toEqual([type, [1], 3]);
});

it('half precisions hold the bits', () => {
  expect(fromHalves(numberTensor(1.5, 'float16', []).data as Uint16Array)).toEqual(Float32Array.of(1.5));
  expect(fromBfloat16s(numberTensor(-2, 'bfloat16', []).data as Uint16Array)).toEqual(Float32Array.of(-2));
});

it.each([undefined, 'bool'] as const)('beside %s a number is float32', (type) => {
  expect(numberTensor(3, type, [])).toEqual({ type: 'float32', dims: [], data: Float32Array.of(3) });
});

it('reads numbers of a Buffer whose place is not aligned', () => {
  const rawData = Buffer.from([9, ...new Uint8Array(BigInt64Array.of(-7n, 2n ** 40n).buffer)]).subarray(1);
  const tensor = readTensor({ name: 'ids', dims: [2], dataType: dataTypeNumber('int64'), rawData });
  expect([...tensor.data]).toEqual([-7n, 2n ** 40n]);
});
