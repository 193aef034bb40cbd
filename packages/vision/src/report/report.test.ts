import sharp from 'sharp';
import { expect, test } from 'vitest';
import { synthetic } from '../../fixtures/goldens.ts';
import { indexedPng } from '../image/imageFile.ts';
import { classColor, paintMask, paintPoints, shrunk, joinHorizontally } from './overlay.ts';
import { webp } from '../image/codec.ts';

test('class colours are those of Pascal VOC', () => {
  // The first, the person's, and the last, by which borders are drawn.
  expect([0, 1, 2, 15, 255].map(classColor)).toEqual([
    [0, 0, 0],
    [128, 0, 0],
    [0, 128, 0],
    [192, 128, 128],
    [224, 224, 192],
  ]);
  expect(new Set(Array.from({ length: 256 }, (_, i) => String(classColor(i)))).size).toBe(256);
});

test('an indexed PNG shows the colours of its numbers, in any decoder', async () => {
  const mask = { width: 31, height: 9, data: Uint8Array.from({ length: 279 }, (_, i) => i % 256) };
  const png = indexedPng(mask, classColor);
  expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 31, height: 9, isPalette: true });
  const pixels = await sharp(png).raw().toBuffer();
  expect([...pixels]).toEqual([...mask.data].flatMap((number) => [...classColor(number)]));
});

test('a mask tints its areas, draws their edges, and leaves what has no colour', () => {
  const image = { width: 7, height: 7, data: new Uint8Array(147).fill(100) };
  const inside = (i: number) => i % 7 > 0 && i % 7 < 6 && i > 6 && i < 42;
  const mask = { width: 7, height: 7, data: Uint8Array.from({ length: 49 }, (_, i) => (inside(i) ? 3 : 0)) };
  const painted = paintMask(image, mask, { color: (number) => (number === 3 ? [200, 0, 100] : undefined) });
  const at = (x: number, y: number) => [...painted.data.subarray((y * 7 + x) * 3, (y * 7 + x) * 3 + 3)];
  expect(at(0, 0)).toEqual([100, 100, 100]);
  expect(at(1, 1)).toEqual([200, 0, 100]);
  expect(at(3, 3)).toEqual([150, 50, 100]);
});

test('points are dots, pictures stand beside each other, and shrink to WebP', async () => {
  const image = synthetic(200, 100, 1);
  const dotted = paintPoints(image, [[50.5, 50.5], [-1, 400]], [1, 2, 3]); // prettier-ignore
  expect([...dotted.data.subarray((50 * 200 + 50) * 3, (50 * 200 + 50) * 3 + 3)]).toEqual([1, 2, 3]);
  expect(shrunk(image, 300)).toBe(image);
  expect(shrunk(image, 50)).toMatchObject({ width: 50, height: 25 });
  const pair = joinHorizontally([shrunk(image, 50), shrunk(dotted, 50)]);
  expect(pair).toMatchObject({ width: 104, height: 25 });
  expect([...pair.data.subarray(150, 162)]).toEqual(Array.from({ length: 12 }, () => 255));
  expect(await sharp(await webp(pair)).metadata()).toMatchObject({ format: 'webp', width: 104, height: 25 });
});
