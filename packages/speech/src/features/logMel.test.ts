/** @file Tests of the mel filters and the log-mel spectrogram. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LogMel, melFilters } from './logMel.ts';

interface Features {
  mels: number;
  length: number;
  columns: Record<string, number[]>;
  rest?: number;
}
const golden = JSON.parse(readFileSync(new URL('../fixtures/synthetic.json', import.meta.url), 'utf8')) as {
  padded: Features;
  padded128: Features;
  full: Features;
  filters80: { sumsByMel: number[]; sumsByBin: number[] };
};
const signal = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);

describe('melFilters', () => {
  it('are those of an independent implementation', () => {
    const filters = melFilters(201, 80, 16_000, 8000);
    expect(filters).toHaveLength(201 * 80);
    golden.filters80.sumsByMel.forEach((sum, mel) => {
      expect(filters.reduce((all, x, i) => (i % 80 === mel ? all + x : all), 0)).toBeCloseTo(sum, 12);
    });
    golden.filters80.sumsByBin.forEach((sum, bin) => {
      expect(filters.subarray(bin * 80, (bin + 1) * 80).reduce((all, x) => all + x, 0)).toBeCloseTo(sum, 12);
    });
  });
});

describe('LogMel', () => {
  it.each(['padded', 'padded128', 'full'] as const)(
    '%s gives the features of an independent implementation',
    (name) => {
      const { mels, length, columns, rest } = golden[name];
      const logMel = new LogMel({ sampleRate: 16_000, mels, frameLength: 400, hop: 160, length });
      const got = logMel.features(signal(1600));
      expect(logMel.frames).toBe(length / 160);
      expect(got).toHaveLength(mels * logMel.frames);
      for (const [column, expected] of Object.entries(columns)) {
        expected.forEach((value, mel) => {
          expect(Math.abs(got[mel * logMel.frames + Number(column)]! - value), `${mel}, ${column}`).toBeLessThan(1e-5);
        });
      }
      if (rest !== undefined) {
        const after = got.filter((_, i) => i % logMel.frames > 11);
        expect(after.every((value) => Math.abs(value - rest) < 1e-6)).toBe(true);
      }
    },
  );

  it('gives -1.5 throughout for silence: (log10(1e-10) + 4) / 4', () => {
    const logMel = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 16_000 });
    expect(new Set(logMel.features(new Float32Array(100)))).toEqual(new Set([-1.5]));
  });

  it('cuts what is longer', () => {
    const logMel = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 1600 });
    expect(logMel.features(signal(5000))).toEqual(logMel.features(signal(1600)));
  });
});
