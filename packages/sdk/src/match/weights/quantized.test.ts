/** @file Properties of requantisation for any codes, scales and zero points. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeTypes } from '../../../../../test/support/storedWeights.ts';
import { codeType, type CodeType } from './codes.ts';
import { dequantize, type Quantized, requantize } from './quantized.ts';

const [groups, size] = [3, 8];
const types = (['int8', 'uint8', 'int4', 'uint4', 'int2', 'uint2'] as const).map((name) => codeType(codeTypes[name])!);

const state = fc.constantFrom(...types).chain((type) =>
  fc
    .record({
      codes: fc.array(fc.integer({ min: type.min, max: type.max }), {
        minLength: groups * size,
        maxLength: groups * size,
      }),
      scales: fc.array(fc.double({ min: 1e-3, max: 10, noNaN: true }), { minLength: groups, maxLength: groups }),
      zeros: fc.array(fc.integer({ min: type.min, max: type.max }), { minLength: groups, maxLength: groups }),
      isCentred: fc.boolean(),
    })
    .map(({ codes, scales, zeros, isCentred }): Quantized => {
      const middle = type.min < 0 ? 0 : 2 ** (type.bits - 1);
      return {
        codes: Int32Array.from(codes),
        scales: Float32Array.from(scales),
        zeros: Float32Array.from(isCentred ? zeros.map(() => middle) : zeros),
        groupOf: (position) => Math.floor(position / size),
        type,
        roundScale: Math.fround,
        zerosAreFixed: isCentred,
      };
    }),
);
const values = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), {
  minLength: groups * size,
  maxLength: groups * size,
});

test('numbers that have codes keep them, with their scales and zero points', () => {
  fc.assert(
    fc.property(state, (before) => {
      const after = requantize(dequantize(before), before);
      expect(after).toEqual({ codes: before.codes, scales: before.scales, zeros: before.zeros });
    }),
  );
});

test('other numbers get codes within half a step, in the type, and fixed zero points stay', () => {
  fc.assert(
    fc.property(state, values, (before, given) => {
      const wanted = Float32Array.from(given);
      const after = requantize(wanted, before);
      expect(after.codes.every((code) => code >= before.type.min && code <= before.type.max)).toBe(true);
      if (before.zerosAreFixed) expect(after.zeros).toEqual(before.zeros);
      const found = dequantize({ ...before, ...after });
      for (const [i, value] of wanted.entries()) {
        const step = Math.abs(after.scales[before.groupOf(i)]!);
        expect(Math.abs(value - found[i]!)).toBeLessThanOrEqual(0.5 * step + 1e-4 * Math.abs(value));
      }
    }),
  );
});

test('a symmetric group turns its sign where that is finer', () => {
  const type: CodeType = codeType(codeTypes.int4)!;
  const before: Quantized = {
    codes: Int32Array.of(-8, 7), scales: Float32Array.of(1), zeros: Float32Array.of(0), groupOf: () => 0,
    type, roundScale: Math.fround, zerosAreFixed: true,
  }; // prettier-ignore
  expect(requantize(Float32Array.of(8.5, -2), before)).toEqual({
    codes: Int32Array.of(-8, 2),
    scales: Float32Array.of(-8.5 / 8),
    zeros: Float32Array.of(0),
  });
  expect([...requantize(Float32Array.of(-8.5, 2), before).codes]).toEqual([-8, 2]);
  // A file that leaves the lowest code alone is quantised without it.
  const narrow = requantize(Float32Array.of(-8.5, 2), { ...before, codes: Int32Array.of(-7, 7) });
  expect([...narrow.codes]).toEqual([-7, 2]);
});
