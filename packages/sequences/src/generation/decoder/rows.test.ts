/** @file Rows of tensors, and floats in half precision. */

import '../../../../../test/support/seed.ts';
import { float32, int64, tensor } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asPort, joinRows, logitsAt, ones, selectRows } from './rows.ts';

const three = float32([0, 1, 10, 11, 20, 21], [3, 2, 1]);

describe('rows', () => {
  it('are taken in any order, and as often as asked for', () => {
    expect(selectRows(three, [2, 0, 2])).toEqual(float32([20, 21, 0, 1, 20, 21], [3, 2, 1]));
    expect(selectRows(three, [])).toEqual(float32([], [0, 2, 1]));
    expect(selectRows(three, [0, 1, 2])).toBe(three);
    expect(selectRows(int64([1, 2], [2]), [1])).toEqual(int64([2], [1]));
    // A past that is empty yet.
    expect(selectRows(float32([], [2, 0, 4]), [1])).toEqual(float32([], [1, 0, 4]));
  });

  it('are joined to what they were taken from', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(counts, (sizes) => {
        const rows = sizes.reduce((sum, size) => sum + size, 0);
        const whole = float32(Float32Array.from({ length: rows * 2 }, (_, i) => i), [rows, 2]); // prettier-ignore
        let start = 0;
        const parts = sizes.map((size) => {
          const own = Array.from({ length: size }, (_, i) => start + i);
          start += size;
          return selectRows(whole, own);
        });
        expect(joinRows(parts)).toEqual(whole);
      }),
    );
  });
});

it('half floats are what the port asks for, and back', () => {
  const values = float32([1, -2.5, 0, 65_504, 1e-4], [5]);
  const half = asPort(values, { type: 'float16', dims: undefined });
  // IEEE 754: sign, 5 bits of exponent, 10 of mantissa.
  expect(half).toEqual(tensor('float16', Uint16Array.of(0x3c00, 0xc100, 0, 0x7bff, 0x068e), [5]));
  const back = asPort(half, { type: 'float32', dims: undefined });
  expect([...(back.data as Float32Array)].map((value, i) => Math.abs(value - Number(values.data[i])) < 1e-7)).toEqual(Array(5).fill(true)); // prettier-ignore
  expect(asPort(values, { type: 'float32', dims: undefined })).toBe(values);
  expect(asPort(values, undefined)).toBe(values);
});

it('logits are found by row and place, whatever their type', () => {
  const logits = float32(Float32Array.from({ length: 12 }, (_, i) => i), [2, 3, 2]); // prettier-ignore
  const wanted = [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]; // prettier-ignore
  const lists = (given: Float32Array[][]): number[][][] => given.map((row) => row.map((each) => [...each]));
  expect(lists(logitsAt(logits, [2, 0]))).toEqual(wanted);
  expect(lists(logitsAt(asPort(logits, { type: 'float16', dims: undefined }), [2, 0]))).toEqual(wanted);
  expect(() => logitsAt(undefined, [0])).toThrow('but this one gives none');
  expect(() => logitsAt(float32([1], [1]), [0])).toThrow('gives float32 [1]');
  expect(ones([1, 2])).toEqual(int64([1, 1], [1, 2]));
});
