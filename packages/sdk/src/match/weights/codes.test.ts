/** @file Small integers in bytes, against ONNX Runtime and back. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codesTensor, codeTypes, constantValue } from '../../../../../test/support/storedWeights.ts';
import { codeType, pack, readCodes, unpack, withCodes } from './codes.ts';

const names = Object.keys(codeTypes) as (keyof typeof codeTypes)[];

describe.each(names)('%s', (name) => {
  const type = codeType(codeTypes[name])!;

  test('what is packed is read back, however many there are', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: type.min, max: type.max }), { maxLength: 19 }), (codes) => {
        const tensor = codesTensor(name, codes, [codes.length]);
        expect((tensor.rawData as Uint8Array).length).toBe(Math.ceil((codes.length * type.bits) / 8));
        expect(Array.from(readCodes(tensor)!)).toEqual(codes);
        expect(Array.from(readCodes(withCodes(tensor, codes.toReversed()))!)).toEqual(codes.toReversed());
      }),
    );
  });

  test('has its own bounds', () => {
    expect(Array.from(readCodes(codesTensor(name, [type.min, type.max, type.min], [3]))!)).toEqual([type.min, type.max, type.min]); // prettier-ignore
    expect(type.max - type.min).toBe(2 ** type.bits - 1);
  });
});

test.each(['uint4', 'int4', 'uint8', 'int8'] as const)('ONNX Runtime reads %s in the same order', async (name) => {
  const { min, max } = codeType(codeTypes[name])!;
  const codes = [min, max, min + 1, 0, 1, max - 1, 3];
  const { computed } = constantValue((g) =>
    g.emit('DequantizeLinear', [g.codes(name, codes, [7]), g.scalar(1)], { axis: 0 }),
  );
  expect(Array.from((await computed()).data as Float32Array)).toEqual(codes);
});

test('bytes that are stored as varints, one a byte', () => {
  // int32_data of 0x21 and 0xF3 (two bytes as a varint) are the codes 1, 2, 3, 15.
  const int32Data = Uint8Array.of(0x21, 0xf3, 0x01);
  expect(Array.from(readCodes({ dims: [4], dataType: codeTypes.uint4, int32Data })!)).toEqual([1, 2, 3, 15]);
  expect(Array.from(readCodes({ dims: [3], dataType: codeTypes.int4, int32Data })!)).toEqual([1, 2, 3]);
});

test('bytes that do not fill the shape, and other types, are none', () => {
  expect(readCodes({ dims: [5], dataType: codeTypes.int4, rawData: Uint8Array.of(1, 2) })).toBeUndefined();
  expect(readCodes({ dims: [5], dataType: codeTypes.int4 })).toBeUndefined();
  expect(readCodes({ dims: [1], dataType: 1, rawData: new Uint8Array(4) })).toBeUndefined();
  expect([1, 7, 10, 17, 23, undefined].map(codeType)).toEqual(Array.from({ length: 6 }, () => undefined));
});

test('the lowest bits come first', () => {
  expect(Array.from(pack([1, 2, 3], codeType(codeTypes.uint4)!))).toEqual([0x21, 0x03]);
  expect(Array.from(pack([-1, 1, -2, 0, 1], codeType(codeTypes.int2)!))).toEqual([0b00_10_01_11, 0b01]);
  expect(Array.from(unpack(Uint8Array.of(0xf8), 2, codeType(codeTypes.int4)!))).toEqual([-8, -1]);
});
