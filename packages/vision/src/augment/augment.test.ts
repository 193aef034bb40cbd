import { drawSeed } from '@onnx-lora/sdk/data';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { synthetic } from '../../fixtures/goldens.ts';
import type { Box } from '../data/imageRecord.ts';
import type { ImagePlan } from '../preprocess/imagePlan.ts';
import {
  augment,
  type Augmentation,
  augmentSetting,
  fitAugmentations,
  standardAugmentations,
  strongAugmentations,
} from './augment.ts';
import { colorJitter, randomGrayscale } from './color.ts';
import { flip, horizontalFlip, verticalFlip, rotate90, rotation } from './orientation.ts';
import { gaussianBlur } from './gaussianBlur.ts';
import { randAugment } from './randAugment.ts';
import { randomErasing, randomResizedCrop } from './randomWindows.ts';
import type { Sample } from './sample.ts';
import '../../../../test/support/seed.ts';

/** A black image with a white rectangle: its mask, its box and the middle of it. */
function rectangle(width: number, height: number, [x0, y0, x1, y1]: Box): Sample {
  const inside = (i: number) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x >= x0 && x < x1 && y >= y0 && y < y1;
  };
  const mask = Uint8Array.from({ length: width * height }, (_, i) => (inside(i) ? 1 : 0));
  return {
    image: {
      width,
      height,
      data: Uint8Array.from({ length: mask.length * 3 }, (_, i) => 255 * mask[Math.floor(i / 3)]!),
    },
    masks: [{ width, height, data: mask }],
    boxes: [[x0, y0, x1, y1]],
    points: [[(x0 + x1) / 2, (y0 + y1) / 2]],
  };
}

/** Rectangles of at least 6 x 6 in images of 24 to 40 pixels. */
const samples = fc
  .record({
    width: fc.integer({ min: 24, max: 40 }),
    height: fc.integer({ min: 24, max: 40 }),
    x: fc.double({ min: 0, max: 1, noNaN: true }),
    y: fc.double({ min: 0, max: 1, noNaN: true }),
    w: fc.integer({ min: 6, max: 18 }),
    h: fc.integer({ min: 6, max: 18 }),
  }) // prettier-ignore
  .map(({ width, height, x, y, w, h }) => {
    const [x0, y0] = [Math.floor(x * (width - w)), Math.floor(y * (height - h))];
    return rectangle(width, height, [x0, y0, x0 + w, y0 + h]);
  });

const exact: readonly Augmentation[][] = [
  [horizontalFlip()],
  [verticalFlip()],
  [rotate90()],
  [randomResizedCrop({ scale: [0.3, 1] })],
  [randomResizedCrop(), rotate90(), horizontalFlip()],
];
const withResampling: readonly Augmentation[][] = [
  [rotation({ degrees: 40, interpolation: 'nearest' })],
  [randomResizedCrop({ scale: [0.3, 1], size: { width: 50, height: 44 }, resample: 'nearest' })],
];

describe('annotations stay in step with the image', () => {
  test('a mask shows where the image is white', () => {
    fc.assert(
      fc.property(samples, fc.constantFrom(...exact, ...withResampling), fc.nat(), (sample, augmentations, seed) => {
        const { image, masks } = augment(sample, augmentations, seed);
        const [mask] = masks!;
        expect([mask!.width, mask!.height]).toEqual([image.width, image.height]);
        // Turning and shrinking by nearest pixels takes the same pixel for both, so they agree everywhere.
        expect([...mask!.data]).toEqual([...image.data].filter((_, i) => i % 3 === 0).map((level) => level / 255));
      }),
    );
  });

  test('a box is that of the mask, where no pixel is resampled', () => {
    fc.assert(
      fc.property(samples, fc.constantFrom(...exact), fc.nat(), (sample, augmentations, seed) => {
        const { masks, boxes, boxIndices } = augment(sample, augmentations, seed);
        const { width, data } = masks![0]!;
        const on = [...data.keys()].filter((i) => data[i] === 1);
        if (boxes!.length === 0) {
          expect([on.length, boxIndices]).toEqual([0, []]);
          return;
        }
        const [xs, ys] = [on.map((i) => i % width), on.map((i) => Math.floor(i / width))];
        const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1];
        expect(boxes![0]).toEqual(box);
      }),
    );
  });

  test('a point that is left lies on the object, one that is dropped left the image', () => {
    fc.assert(
      fc.property(samples, fc.constantFrom(...exact, ...withResampling), fc.nat(), (sample, augmentations, seed) => {
        const { masks, points } = augment(sample, augmentations, seed);
        for (const [x, y] of points!) {
          expect(masks![0]!.data[Math.floor(y) * masks![0]!.width + Math.floor(x)]).toBe(1);
        }
      }),
    );
  });

  test('what is left says which it was', () => {
    const sample: Sample = {
      ...rectangle(20, 20, [0, 0, 20, 20]),
      boxes: [[0, 0, 2, 2], [8, 8, 12, 12], [18, 18, 20, 20]],
      points: [[1, 1], [10, 10], [19, 19]],
    }; // prettier-ignore
    const middle = randomResizedCrop({ scale: [0.2, 0.2], ratio: [1, 1] });
    const seed = Array.from({ length: 200 }, (_, i) => i).find((i) => {
      const { points } = augment(sample, [middle, horizontalFlip()], i);
      return points!.length === 1;
    });
    const { boxes, boxIndices, points, pointIndices } = augment(sample, [middle, horizontalFlip()], seed!);
    expect([boxes!.length, boxIndices, points!.length, pointIndices]).toEqual([1, [1], 1, [1]]);
  });

  test('what lies outside has the colour and the class that were asked for', () => {
    const sample = rectangle(20, 20, [0, 0, 20, 20]);
    const masks = [{ ...sample.masks![0]!, outside: 255 }];
    const rotated = augment({ ...sample, masks }, [rotation({ degrees: [45, 45], fill: [1, 2, 3] })], 0);
    expect([...rotated.image.data.subarray(0, 3), rotated.masks![0]!.data[0]]).toEqual([1, 2, 3, 255]);
    expect(rotated.masks![0]!.data[10 * 20 + 10]).toBe(1);
  });
});

describe('algebra', () => {
  const sample: Sample = { image: synthetic(13, 9, 5), boxes: [[1, 2, 8, 7]], points: [[3.5, 4]] };

  test('two flips are none', () => {
    for (const axis of ['x', 'y'] as const) {
      expect(flip(flip(sample, axis), axis)).toMatchObject(sample);
      expect(flip(sample, axis).image.data).not.toEqual(sample.image.data);
    }
  });

  test('a probability of 0 is never, of 1 always', () => {
    const never = [horizontalFlip({ probability: 0 }), randomErasing({ probability: 0 }), gaussianBlur({ probability: 0 }), randomGrayscale({ probability: 0 })]; // prettier-ignore
    for (let seed = 0; seed < 20; seed++) {
      expect(augment(sample, never, seed)).toEqual(sample);
      expect(augment(sample, [horizontalFlip({ probability: 1 })], seed)).toEqual(flip(sample, 'x'));
    }
  });
});

test('crops have the share and the shape that were asked for, and all of them occur', () => {
  const image = synthetic(200, 160, 3);
  const shares: number[] = [];
  for (let seed = 0; seed < 300; seed++) {
    const cut = augment({ image }, [randomResizedCrop({ scale: [0.2, 0.6] })], seed).image;
    shares.push((cut.width * cut.height) / (200 * 160));
    expect(cut.width / cut.height).toBeGreaterThan(0.73);
    expect(cut.width / cut.height).toBeLessThan(1.36);
  }
  expect(Math.min(...shares)).toBeGreaterThan(0.19);
  expect(Math.max(...shares)).toBeLessThan(0.61);
  expect(Math.max(...shares) - Math.min(...shares)).toBeGreaterThan(0.35);
  // No window of a stripe has the shape, so the middle is taken.
  expect(augment({ image: synthetic(90, 3, 1) }, [randomResizedCrop()], 1).image).toMatchObject({
    width: 4,
    height: 3,
  });
});

test('erasing hides a rectangle of the share that was asked for, in its colour', () => {
  const image = { width: 50, height: 40, data: new Uint8Array(6000) };
  const options = { probability: 1, scale: [0.1, 0.1] as const, value: [9, 8, 7] as const };
  for (let seed = 0; seed < 30; seed++) {
    const { data } = augment({ image }, [randomErasing(options)], seed).image;
    const hidden = [...data.keys()].filter((i) => data[i] !== 0);
    expect(hidden.length / 3 / 2000).toBeCloseTo(0.1, 1);
    expect(hidden.every((i) => data[i] === 9 - (i % 3))).toBe(true);
  }
});

test('colour changes leave the size and the mask alone, and do change the colours', () => {
  const sample = { ...rectangle(30, 30, [4, 4, 20, 20]), image: synthetic(30, 30, 4) };
  for (const each of [colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }), randomGrayscale({ probability: 1 }), gaussianBlur({ sigma: [1, 2] })]) {
    const changed = augment(sample, [each], 5);
    expect(changed.masks).toBe(sample.masks);
    expect(changed.image.data).not.toEqual(sample.image.data);
  } // prettier-ignore
  expect(augment(sample, [colorJitter()], 5)).toEqual(sample);
});

test('the same seed gives the same bits, another seed others; lists survive JSON', () => {
  const sample = { image: synthetic(40, 30, 9) };
  const list = [...strongAugmentations(), rotation(), colorJitter({ hue: 0.2 })];
  const results = [1, 2, 3].map((draw) => augment(sample, list, drawSeed(7, draw)).image.data);
  expect(augment(sample, JSON.parse(JSON.stringify(list)) as Augmentation[], drawSeed(7, 2)).image.data).toEqual(
    results[1],
  );
  expect(new Set(results.map(String)).size).toBe(3);
  expect(new Set(Array.from({ length: 5000 }, (_, draw) => drawSeed(7, draw))).size).toBe(5000);
  expect(drawSeed(7, 1)).not.toBe(drawSeed(8, 1));
});

test('crops take the size of the preprocessor, so that an image is resized once', () => {
  const normalization = { rescaleFactor: 1, mean: [0, 0, 0], std: [1, 1, 1] } as const;
  const square: ImagePlan = {
    resize: { to: { kind: 'exact', height: 20, width: 24 }, resample: 'bicubic' },
    normalization,
  };
  const edge: ImagePlan = { resize: { to: { kind: 'shortest-edge', edge: 18 }, resample: 'bicubic' }, crop: { height: 16, width: 16 }, normalization }; // prettier-ignore
  const crop = (plan: ImagePlan) =>
    augment({ image: synthetic(50, 40, 2) }, fitAugmentations(standardAugmentations(), plan), 3).image;
  expect(crop(square)).toMatchObject({ width: 24, height: 20 });
  expect(crop(edge)).toMatchObject({ width: 18, height: 18 });
  const own = randomResizedCrop({ size: { width: 7, height: 9 } });
  expect(fitAugmentations([own], square)).toEqual([own]);
});

test('RandAugment draws every operation of its list and keeps the size', () => {
  // Large and dull enough for equalizing and stretching to change it.
  const picture = synthetic(40, 30, 1);
  const image = { ...picture, data: picture.data.map((level) => 60 + (level >> 1)) };
  const results = new Set(Array.from({ length: 400 }, (_, seed) => {
    const { image: changed } = augment({ image }, [randAugment({ operations: 1 })], seed);
    expect([changed.width, changed.height]).toEqual([40, 30]);
    return String(changed.data);
  })); // prettier-ignore
  // Nine with a direction, four without one, and the one that changes nothing.
  expect(results.size).toBe(2 * 9 + 4 + 1);
});

test('images of a pixel or two come through everything', () => {
  const all = [
    ...strongAugmentations(), ...Array.from({ length: 14 }, () => randAugment({ magnitude: 30 })), rotation({ degrees: 90 }),
    rotate90(), verticalFlip(), gaussianBlur({ sigma: [3, 9] }), colorJitter({ brightness: 1, contrast: 1, saturation: 1, hue: 0.5 }),
    randomErasing({ probability: 1 }), randomGrayscale({ probability: 1 }),
  ]; // prettier-ignore
  const size = fc.integer({ min: 1, max: 3 });
  fc.assert(
    fc.property(size, size, fc.nat(), (width, height, seed) => {
      const mask = { width, height, data: new Uint8Array(width * height).fill(1) };
      const sample = { image: synthetic(width, height, 1), masks: [mask], points: [[0.5, 0.5]] as const };
      const { image, masks } = augment(sample, all, seed);
      expect(image.data.length).toBe(image.width * image.height * 3);
      expect(masks![0]).toMatchObject({ width: image.width, height: image.height });
      expect(masks![0]!.data.length).toBe(image.width * image.height);
    }),
    { numRuns: 50 },
  );
});

test('refuses settings that make no sense, naming them', () => {
  expect(() => augment({ image: synthetic(2, 2, 1) }, [{ type: 'crop' } as never], 1)).toThrow(
    /"type".*rotation.*"crop"/,
  );
  expect(() => randomResizedCrop({ scale: [0.5, 0.2] })).toThrow(/"scale".*lower one first.*\[0.5,0.2\]/);
  expect(() => randomResizedCrop({ size: { width: 0, height: 3 } })).toThrow(/"size.width"/);
  expect(() => horizontalFlip({ probability: 2 })).toThrow(/"probability".*between 0 and 1/);
  expect(() => rotation({ degrees: Number.NaN })).toThrow(/"degrees"/);
  expect(() => colorJitter({ hue: 0.7 })).toThrow(/"hue"/);
  expect(() => randAugment({ magnitude: 31 })).toThrow(/"magnitude".*0 to 30/);
  expect(() => gaussianBlur({ kernelSize: 4 })).toThrow(/odd/);
  expect(() => randomErasing({ value: [0, 0, 300] })).toThrow(/"value".*0 to 255/);
  expect(augmentSetting).toMatchObject({ description: expect.stringContaining(': none, standard, strong;') });
});
