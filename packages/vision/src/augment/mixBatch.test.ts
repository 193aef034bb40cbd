import { float32 } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { beta, mixBatch, oneHot } from './mixBatch.ts';

/** Image i has the value i everywhere, and the class i. */
function numbered(batch: number, height: number, width: number) {
  const size = 3 * height * width;
  const pixels = float32(
    Float32Array.from({ length: batch * size }, (_, i) => Math.floor(i / size)),
    [batch, 3, height, width],
  );
  return { pixels, labels: oneHot(Array.from({ length: batch }, (_, i) => i), batch) }; // prettier-ignore
}

test('the share of a label is the share of its pixels, for MixUp and CutMix', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 4 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.boolean(), fc.nat(),
      (batch, height, width, cut, seed) => {
        const { pixels, labels } = mixBatch(numbered(batch, height, width), cut ? { cutMix: 1 } : { mixUp: 1 }, seed);
        const size = 3 * height * width;
        for (let i = 0; i < batch; i++) {
          const row = labels.data.subarray(i * batch, (i + 1) * batch) as Float32Array;
          const values = pixels.data.subarray(i * size, (i + 1) * size) as Float32Array;
          const mean = values.reduce((sum, value) => sum + value, 0) / size;
          const previous = (i + batch - 1) % batch;
          expect(row[i]! + row[previous]!).toBeCloseTo(1, 5);
          expect(mean).toBeCloseTo(row[i]! * i + row[previous]! * previous, 4);
          if (cut) expect([...values].every((value) => value === i || value === previous)).toBe(true);
        }
      },
    ), // prettier-ignore
  );
});

test('with both, each is used; the same seed gives the same batch', () => {
  const batch = numbered(3, 6, 6);
  const kinds = Array.from({ length: 40 }, (_, seed) => {
    const { pixels } = mixBatch(batch, { mixUp: 0.8, cutMix: 1 }, seed);
    expect(mixBatch(batch, { mixUp: 0.8, cutMix: 1 }, seed).pixels.data).toEqual(pixels.data);
    return [...(pixels.data as Float32Array)].every(Number.isInteger) ? 'cut' : 'mixed';
  });
  expect(new Set(kinds)).toEqual(new Set(['cut', 'mixed']));
});

test('shares are distributed as Beta(α, α): mean 1/2, variance 1 / (4 (2α + 1))', () => {
  for (const alpha of [0.2, 0.8, 1, 4]) {
    const random = new Random(7);
    const shares = Array.from({ length: 20_000 }, () => beta(alpha, random));
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
    expect(mean).toBeCloseTo(0.5, 2);
    expect(variance * 4 * (2 * alpha + 1)).toBeCloseTo(1, 1);
  }
  expect(Number.isFinite(beta(1e-4, new Random(1)))).toBe(true);
});

test('refuses what cannot be mixed', () => {
  const { pixels, labels } = numbered(2, 3, 3);
  expect(() => mixBatch({ pixels, labels }, { mixUp: 0 }, 1)).toThrow(/"mixUp".*above 0/);
  expect(() => mixBatch({ pixels, labels: float32([0, 1], [2]) }, { mixUp: 1 }, 1)).toThrow(/oneHot/);
});
