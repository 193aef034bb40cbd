/** @file Tests of the filter bank against the definition of the Fourier transform. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FilterBank, type FilterBankOptions, isTransformable } from './filterBank.ts';
import { program } from './filterBankProgram.ts';
import { compiledWat } from '../../../../test/support/compiledWat.ts';

const noise = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);

/** One filter for each power, and windows of 1. */
function plain(fftLength: number, more: Partial<FilterBankOptions> = {}): FilterBankOptions {
  const bins = fftLength / 2 + 1;
  return {
    frameLength: fftLength,
    fftLength,
    hop: 3,
    window: new Float64Array(fftLength).fill(1),
    filters: Float64Array.from({ length: bins * bins }, (_, i) => (i % (bins + 1) === 0 ? 1 : 0)),
    floor: 1e-30,
    ...more,
  };
}

/** Energies of each filter, `[frames][filters]`, before the logarithm. */
function heard(options: FilterBankOptions, samples: Float32Array, frames: number): number[][] {
  const bank = new FilterBank(options);
  const data = new Float32Array(frames * bank.count);
  const read = (block: Float32Array, start: number): void => {
    block.fill(0).set(samples.subarray(start, start + block.length));
  };
  const peak = bank.write(frames, read, { data, filterStep: 1, frameStep: bank.count });
  expect(peak).toBe(data.reduce((most, x) => Math.max(most, x), -Infinity));
  return Array.from({ length: frames }, (_, frame) =>
    Array.from(data.subarray(frame * bank.count, (frame + 1) * bank.count), Math.exp),
  );
}

/** |Σ x[n]·exp(−2πi·k·n / size)|² for k from 0 to size / 2. */
function powers(frame: readonly number[], size: number): number[] {
  return Array.from({ length: size / 2 + 1 }, (_, k) => {
    const turn = (i: number): number => (2 * Math.PI * k * i) / size;
    const re = frame.reduce((sum, x, i) => sum + x * Math.cos(turn(i)), 0);
    const im = frame.reduce((sum, x, i) => sum - x * Math.sin(turn(i)), 0);
    return re * re + im * im;
  });
}

function expectPowers(got: readonly number[], expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  const most = expected.reduce((max, x) => Math.max(max, x), 0);
  expected.forEach((power, k) => {
    // Float32 holds seven digits of the largest amplitude.
    expect(Math.abs(Math.sqrt(got[k]!) - Math.sqrt(power))).toBeLessThan(1e-6 * Math.sqrt(most));
  });
}

describe('FilterBank', () => {
  it.each([4, 8, 16, 20, 40, 100, 400, 512])(
    'hears the powers of frames of %i samples, and of those that follow',
    (size) => {
      const samples = noise(size + 3 * 140);
      const frames = heard(plain(size), samples, 141);
      // The first, the last before the next block, and the last, whose block of four is incomplete.
      for (const i of [0, 2, 127, 128, 140]) {
        expectPowers(frames[i]!, powers([...samples.subarray(3 * i, 3 * i + size)], size));
      }
    },
  );

  it('multiplies by the window, and pads a frame with zeros', () => {
    const window = Float64Array.from({ length: 13 }, (_, i) => 1 / (i + 1));
    const [got] = heard(plain(20, { frameLength: 13, window }), noise(20), 1);
    expectPowers(
      got!,
      powers(
        Array.from(window, (weight, i) => weight * noise(20)[i]!),
        20,
      ),
    );
  });

  it('takes off the mean, and emphasises', () => {
    const window = new Float64Array(14).fill(1);
    const samples = noise(40).map((x) => x + 7);
    const frames = heard(plain(16, { frameLength: 14, window, emphasis: 0.9 }), samples, 5);
    frames.forEach((got, frame) => {
      const cut = [...samples.subarray(3 * frame, 3 * frame + 14)];
      const mean = cut.reduce((sum, x) => sum + x, 0) / 14;
      expectPowers(
        got,
        powers(
          cut.map((x, i) => x - mean - 0.9 * (cut[Math.max(0, i - 1)]! - mean)),
          16,
        ),
      );
    });
  });

  it('weighs neighbouring powers, and gives the floor where a filter hears nothing', () => {
    // Three filters of five powers; the last hears none.
    const filters = Float64Array.from([0, 1, 0, 2, 0.5, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    const [got] = heard(plain(8, { filters, floor: 1e-4 }), noise(8), 1);
    const expected = powers([...noise(8)], 8);
    expect(got![0]).toBeCloseTo(2 * expected[1]! + 3 * expected[2]!, 5);
    expect(got![1]).toBeCloseTo(expected[0]! + 0.5 * expected[1]!, 5);
    expect(got![2]).toBeCloseTo(1e-4, 9);
  });

  it('has the logarithm of every power to seven digits', () => {
    fc.assert(
      fc.property(fc.double({ min: -16, max: 16, noNaN: true }), (exponent) => {
        // A frame of one sample that is not 0 has the same power everywhere.
        const sample = Math.fround(10 ** exponent);
        const bank = new FilterBank(plain(4));
        const data = new Float32Array(3);
        bank.write(1, (block) => block.fill(0).set([sample]), { data, filterStep: 1, frameStep: 3 });
        const expected = Math.max(Math.log(1e-30), 2 * Math.log(sample));
        expect(Math.abs(data[1]! - expected)).toBeLessThan(3e-7 * Math.max(1, Math.abs(expected)));
      }),
      { numRuns: 100 },
    );
  });

  it('refuses what has no finite power', () => {
    for (const bad of [NaN, -Infinity, 1e25]) {
      expect(() => heard(plain(8), noise(40).fill(bad, 20, 21), 8)).toThrow(
        expect.objectContaining({ code: 'INPUT_INVALID' }),
      );
    }
  });

  it('knows what it can transform', () => {
    expect([4, 20, 400, 512, 1024, 2000].filter((size) => !isTransformable(size))).toEqual([]);
    expect([0, 1, 2, 6, 10, 401, 480, 4.5, -4].filter((size) => isTransformable(size))).toEqual([]);
  });

  it('runs what wasm/filterBank.wat says', async () => {
    expect(
      await compiledWat(new URL('../../wasm/filterBank.wat', import.meta.url)),
      'compile it again, see there',
    ).toBe(program);
  });
});
