/** @file Tests of the resampler that is SciPy's. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resamplePoly } from './resample.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/resamplePoly.json', import.meta.url), 'utf8')) as Record<
  string,
  number[]
>;
const signal = Float32Array.from({ length: 60 }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);

describe('resamplePoly', () => {
  it.each(Object.entries(golden))('by %s gives the samples of SciPy', (ratio, expected) => {
    const [up, down] = ratio.split('/').map(Number) as [number, number];
    // SciPy computes in float64 and was rounded to float32 once, as here.
    expect([...resamplePoly(signal, up, down)]).toEqual(expected.map((sample) => expect.closeTo(sample, 6)));
    expect(resamplePoly(signal, 3 * up, 3 * down)).toEqual(resamplePoly(signal, up, down));
  });

  it('returns the samples themselves at 1, and refuses what is no ratio', () => {
    expect(resamplePoly(signal, 2, 2)).toBe(signal);
    expect(resamplePoly(new Float32Array(0), 2, 1)).toHaveLength(0);
    expect(() => resamplePoly(signal, 0, 1)).toThrow('positive whole number');
  });
});
