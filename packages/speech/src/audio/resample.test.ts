/** @file Tests of the resampler. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resample } from './resample.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/synthetic.json', import.meta.url), 'utf8')) as {
  resample: Record<string, number[]>;
};
const lengths = { 8000: 60, 11025: 80, 22050: 120, 44100: 200, 48000: 200, 16000: 40 } as Record<number, number>;
const signal = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);

describe('resample', () => {
  it.each(Object.entries(golden.resample))(
    '%s Hz gives the samples of an independent implementation',
    (rates, expected) => {
      const [from, to] = rates.split('-').map(Number) as [number, number];
      const got = resample(signal(lengths[from]!), from, to);
      expect(got).toHaveLength(expected.length);
      got.forEach((sample, i) => expect(Math.abs(sample - expected[i]!), `sample ${i}`).toBeLessThan(1e-6));
    },
  );

  it('returns the samples themselves at equal rates, and nothing for nothing', () => {
    const samples = signal(5);
    expect(resample(samples, 16_000, 16_000)).toBe(samples);
    expect(resample(new Float32Array(0), 8000, 16_000)).toHaveLength(0);
  });

  it('keeps a tone below the cut-off and removes one above it', () => {
    const tone = (hertz: number): Float32Array =>
      Float32Array.from({ length: 4800 }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / 48_000));
    const middle = (hertz: number): Float32Array => resample(tone(hertz), 48_000, 16_000).subarray(100, 1500);
    middle(1000).forEach((sample, i) => {
      expect(sample).toBeCloseTo(Math.sin((2 * Math.PI * 1000 * (i + 100)) / 16_000), 2);
    });
    expect(Math.max(...middle(12_000))).toBeLessThan(0.01);
  });

  it('gives ceil(samples · to / from) finite samples for any pair of rates', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 50_000 }),
        fc.integer({ min: 1000, max: 50_000 }),
        fc.nat(50),
        (from, to, n) => {
          const got = resample(signal(n), from, to);
          expect(got).toHaveLength(Math.ceil((n * to) / from));
          expect(got.every(Number.isFinite)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('refuses rates that are no whole number of Hz', () => {
    expect(() => resample(signal(3), 0, 16_000)).toThrow(
      expect.objectContaining({
        code: 'INPUT_INVALID',
        message: 'A sample rate must be a positive whole number of Hz, not 0.',
      }),
    );
    expect(() => resample(signal(3), 8000, 1.5)).toThrow('not 1.5');
  });
});
