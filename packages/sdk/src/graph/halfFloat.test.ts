import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { roundedToEven, toBfloat16, toHalf } from '../runtime/halfFloat.ts';
import { readFloats } from './tensorData.ts';

function back(bits: number, dataType: 10 | 16): number {
  return readFloats({ dims: [], dataType, rawData: new Uint8Array(Uint16Array.of(bits).buffer) })[0]!;
}

describe('16-bit floats', () => {
  // IEEE 754-2019, table 3.5, and numpy.float16.
  it.each([
    [0, 0x0000], [-0, 0x8000], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [65519, 0x7bff], [65520, 0x7c00],
    [Infinity, 0x7c00], [-Infinity, 0xfc00], [2 ** -24, 0x0001], [2 ** -25, 0x0000], [1.5 * 2 ** -24, 0x0002],
    [2 ** -14, 0x0400], [1 / 3, 0x3555], [1 + 2 ** -11, 0x3c00], [1 + 3 * 2 ** -11, 0x3c02], [0.1, 0x2e66],
  ])('%d is the half %i', (value, bits) => expect(toHalf(value)).toBe(bits)); // prettier-ignore

  it.each([[1, 0x3f80], [-1.5, 0xbfc0], [1 / 3, 0x3eab], [1 + 2 ** -8, 0x3f80], [1 + 3 * 2 ** -8, 0x3f82], [Infinity, 0x7f80]])(
    '%d is the bfloat16 %i',
    (value, bits) => expect(toBfloat16(value)).toBe(bits),
  ); // prettier-ignore

  it('NaN stays NaN', () => {
    expect(back(toHalf(NaN), 10)).toBeNaN();
    expect(back(toBfloat16(NaN), 16)).toBeNaN();
  });

  it('every half is its own nearest half, and so is every bfloat16', () => {
    const others: number[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      const [half, brain] = [back(bits, 10), back(bits, 16)];
      if (!Number.isNaN(half) && toHalf(half) !== bits) others.push(bits);
      if (!Number.isNaN(brain) && toBfloat16(brain) !== bits) others.push(bits);
    }
    expect(others).toEqual([]);
  });

  it('no half is nearer than the one chosen', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -65000, max: 65000 }), (value) => {
        const bits = toHalf(value);
        const error = Math.abs(back(bits, 10) - value);
        for (const other of [bits - 1, bits + 1]) {
          const distance = Math.abs(back(other & 0xffff, 10) - value);
          if (!Number.isNaN(distance)) expect(error).toBeLessThanOrEqual(distance);
        }
      }),
    );
  });

  it('rounds to even', () => expect([0.5, 1.5, 2.5, 3.2, 3.7].map(roundedToEven)).toEqual([0, 2, 2, 3, 4]));
});
