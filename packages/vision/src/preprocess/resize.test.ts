import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesOf, fixture, synthetic, worst } from '../../fixtures/goldens.ts';
import type { Image } from '../image/image.ts';
import { cropPlane } from './crop.ts';
import { program } from './pixelProgram.ts';
import { compiledWat } from '../../../../test/support/compiledWat.ts';
import { type Resample, resampleByNumber, resampleWeights } from './resize/resampleFilters.ts';
import { resize } from './resize/resize.ts';

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

  // More pixels than are worked on at a time, in both orders of the passes.
  test.each([
    [700, 150, 90, 61],
    [301, 301, 303, 40],
    [30, 3001, 33, 40],
    [400, 230, 400, 7],
    [300, 310, 299, 312],
    [1, 310, 400, 305],
  ])('%i x %i pixels to %i x %i, sum by sum', (width, height, newWidth, newHeight) => {
    const image = synthetic(width, height, 5);
    for (const resample of ['bilinear', 'lanczos'] as const) {
      const pixels = resize(image, newHeight, newWidth, resample);
      expect(worst(pixels.data, plainly(image, newHeight, newWidth, resample)), resample).toBe(0);
    }
  });

  test('computes a window of the result as it computes all of it', () => {
    const edge = fc.integer({ min: 1, max: 50 });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.tuple(edge, edge, edge, edge),
        fc.tuple(share, share, share, share),
        fc.constantFrom(...resampleByNumber),
        ([width, height, newWidth, newHeight], [x, y, w, h], resample) => {
          const image = synthetic(width, height, 2);
          const left = Math.floor(x * (newWidth - 1));
          const top = Math.floor(y * (newHeight - 1));
          const size = {
            width: 1 + Math.floor(w * (newWidth - left - 1)),
            height: 1 + Math.floor(h * (newHeight - top - 1)),
          };
          const whole = resize(image, newHeight, newWidth, resample);
          const part = resize(image, newHeight, newWidth, resample, { top, left, ...size });
          expect(part).toEqual(cropPlane(whole, 3, { top, left }, size));
        },
      ),
      { numRuns: 200, seed: 6 },
    );
  });

  test('runs what wasm/pixels.wat says', async () => {
    expect(await compiledWat(new URL('../../wasm/pixels.wat', import.meta.url)), 'compile it again, see there').toBe(
      program,
    );
  });
});

/** Pillow's resampling in plain sums, the order of the passes as {@link resize} says. */
function plainly(image: Image, height: number, width: number, resample: Exclude<Resample, 'nearest'>): Uint8Array {
  const lost = image.height - height;
  const axes = lost > 0 && lost > 2 * (image.width - width) ? ['y', 'x'] : ['x', 'y'];
  let { data, ...size } = image;
  for (const axis of axes) {
    const next = axis === 'x' ? { width, height: size.height } : { width: size.width, height };
    const [from, to] = axis === 'x' ? [size.width, width] : [size.height, height];
    if (from === to) continue;
    const { first, count, weights, stride } = resampleWeights(from, to, resample);
    const out = new Uint8Array(next.width * next.height * 3);
    for (let y = 0, at = 0; y < next.height; y++) {
      for (let x = 0; x < next.width; x++) {
        for (let c = 0; c < 3; c++, at++) {
          const i = axis === 'x' ? x : y;
          const step = axis === 'x' ? 3 : size.width * 3;
          let from = (axis === 'x' ? y * size.width + first[i]! : first[i]! * size.width + x) * 3 + c;
          let sum = 2 ** 21;
          for (let k = i * stride; k < i * stride + count[i]!; k++, from += step) sum += data[from]! * weights[k]!;
          out[at] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** 22)));
        }
      }
    }
    [data, size] = [out, next];
  }
  return data;
}
