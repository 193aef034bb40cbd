import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesOf, fixture, synthetic } from '../../fixtures/goldens.ts';
import { type Resample, resampleByNumber } from './resampleFilters.ts';
import { resize } from './resize.ts';

interface Case {
  resample: Resample;
  seed: number;
  from: [number, number];
  to: [number, number];
  pixels: string;
}

describe('resize', () => {
  const { cases } = fixture<{ cases: Case[] }>('resize.json');

  test.each(resampleByNumber)('%s gives the pixels of Pillow', (resample) => {
    const mine = cases.filter((each) => each.resample === resample);
    expect(mine).toHaveLength(8);
    for (const { seed, from, to, pixels } of mine) {
      const image = resize(synthetic(from[0], from[1], seed), to[1], to[0], resample);
      expect([image.width, image.height], `${from.join()} to ${to.join()}`).toEqual(to);
      expect(image.data, `${from.join()} to ${to.join()}`).toEqual(bytesOf(pixels));
    }
  });

  test('gives the image itself when the size is right', () => {
    const image = synthetic(5, 4, 1);
    expect(resize(image, 4, 5, 'bicubic')).toBe(image);
  });

  test('leaves a flat image flat, whatever the filter and the sizes', () => {
    const edge = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(
        edge,
        edge,
        edge,
        edge,
        fc.constantFrom(...resampleByNumber),
        fc.integer({ min: 0, max: 255 }),
        (width, height, newWidth, newHeight, resample, level) => {
          const data = new Uint8Array(width * height * 3).fill(level);
          const resized = resize({ width, height, data }, newHeight, newWidth, resample);
          expect(resized.data).toEqual(new Uint8Array(newWidth * newHeight * 3).fill(level));
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });
});
