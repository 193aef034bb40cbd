/** @file Masks, boxes and points go where the pixels go. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Image } from '../image/image.ts';
import { boxToImage, boxToInput, geometryOf, maskToInput, pointToImage, pointToInput } from './geometry.ts';
import { type ImagePlan, resizedSize, roundHalfEven } from './imagePlan.ts';
import { ImagePreprocessor } from './preprocessor.ts';

const edge = fc.integer({ min: 1, max: 60 });
const normalization = { rescaleFactor: 1, mean: [0, 0, 0], std: [1, 1, 1] } as const;

/** Any way to resize by the nearest pixel, crop and pad. */
const plans = fc
  .record({
    to: fc.oneof(
      fc.record({ kind: fc.constant('exact' as const), height: edge, width: edge }),
      fc.record({ kind: fc.constant('shortest-edge' as const), edge: fc.integer({ min: 5, max: 30 }) }),
    ),
    crop: fc.option(fc.record({ height: edge, width: edge, rounding: fc.constantFrom('down', 'half-even' as const) }), {
      nil: undefined,
    }),
    pad: fc.boolean(),
  })
  .map(
    ({ to, crop, pad }) =>
      ({
        resize: { to, resample: 'nearest' },
        ...(crop && { crop }),
        normalization,
        ...(pad && { pad: { height: 2000, width: 2000 } }),
      }) as ImagePlan,
  );
const noFiles = { decode: () => Promise.reject(new Error('not used')) };

describe('geometryOf', () => {
  test('brings a mask to where the same pixels of the image go', () => {
    fc.assert(
      fc.property(
        plans,
        edge,
        edge,
        fc.infiniteStream(fc.integer({ min: 1, max: 255 })),
        (plan, height, width, noise) => {
          const data = Uint8Array.from({ length: width * height }, () => noise.next().value!);
          const image: Image = {
            width,
            height,
            data: Uint8Array.from({ length: data.length * 3 }, (_, i) => data[(i / 3) | 0]!),
          };
          const geometry = geometryOf(plan, image);
          const small = { ...plan, ...(plan.pad && { pad: geometry.content }) };
          const preprocessor = new ImagePreprocessor(small, noFiles);
          const red = preprocessor.pixels(image).data.filter((_, i) => i % 3 === 0);
          expect(maskToInput(geometryOf(small, image), { width, height, data }).data).toEqual(red);
          expect(geometry.output).toEqual(plan.pad ?? geometry.content);
        },
      ),
      { numRuns: 100, seed: 4 },
    );
  });

  test('is undone', () => {
    const position = fc.double({ min: 0, max: 60, noNaN: true });
    fc.assert(
      fc.property(plans, edge, edge, position, position, (plan, height, width, x, y) => {
        const geometry = geometryOf(plan, { height, width });
        const [backX, backY] = pointToImage(geometry, pointToInput(geometry, [x, y]));
        expect(backX).toBeCloseTo(x, 6);
        expect(backY).toBeCloseTo(y, 6);
        const box = [x, y, x + 1, y + 2] as const;
        boxToImage(geometry, boxToInput(geometry, box)).forEach((each, i) => expect(each).toBeCloseTo(box[i]!, 6));
      }),
      { numRuns: 200, seed: 5 },
    );
  });

  test("keeps a point on its pixel through SAM's resizing and padding, and CLIP's crop", () => {
    const sam = geometryOf(
      {
        resize: { to: { kind: 'longest-edge', edge: 1024 }, resample: 'bilinear' },
        normalization,
        pad: { height: 1024, width: 1024 },
      },
      { height: 300, width: 600 },
    );
    expect(sam).toMatchObject({ resized: { height: 512, width: 1024 }, output: { height: 1024, width: 1024 } });
    expect(boxToInput(sam, [0, 0, 600, 300])).toEqual([0, 0, 1024, 512]);
    const clip = geometryOf(
      {
        resize: { to: { kind: 'shortest-edge', edge: 10 }, resample: 'bicubic' },
        crop: { height: 10, width: 10 },
        normalization,
      },
      { height: 20, width: 45 },
    );
    // 22 pixels wide; the first six are cut off.
    expect(pointToInput(clip, [45, 20])).toEqual([16, 10]);
    expect(pointToInput(clip, [0, 0])).toEqual([-6, 0]);
  });

  test('fills what the image does not reach with what the mask says', () => {
    const plan: ImagePlan = { crop: { height: 1, width: 3 }, normalization, pad: { height: 2, width: 3 } };
    const mask = { width: 1, height: 1, data: Uint8Array.of(4), outside: 255 };
    expect([...maskToInput(geometryOf(plan, mask), mask).data]).toEqual([255, 4, 255, 255, 255, 255]);
  });

  test('refuses a mask of another size', () => {
    const mask = { width: 2, height: 1, data: new Uint8Array(2) };
    expect(() => maskToInput(geometryOf({ normalization }, { width: 1, height: 2 }), mask)).toThrow(
      'A mask of 2 x 1 pixels cannot belong to an image of 1 x 2.',
    );
  });
});

describe('resizedSize', () => {
  test('keeps an image within a height and a width', () => {
    // get_image_size_for_max_height_width of transformers, by its own examples.
    const within = (height: number, width: number, maxHeight: number, maxWidth: number) =>
      resizedSize({ height, width }, { kind: 'within', height: maxHeight, width: maxWidth });
    expect(within(100, 200, 50, 50)).toEqual({ height: 25, width: 50 });
    expect(within(100, 200, 200, 500)).toEqual({ height: 200, width: 400 });
  });
});

test('roundHalfEven rounds as Python does', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 1.2, -1.2].map(roundHalfEven).map((each) => each + 0)).toEqual([
    0, 2, 2, 0, -2, 1, -1,
  ]);
});
