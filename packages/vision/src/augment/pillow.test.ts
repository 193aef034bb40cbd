import { expect, test } from 'vitest';
import { bytesOf, fixture, synthetic } from '../../fixtures/goldens.ts';
import { Random } from '@onnx-lora/sdk/data';
import type { Image } from '../image/image.ts';
import { affineSample, type Color, type Interpolation, rotationMap } from './sample.ts';
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  adjustSharpness,
  autoContrast,
  equalize,
  grayscale,
  posterize,
  solarize,
} from './color.ts';
import { blur } from './gaussianBlur.ts';
import { randAugmentOperations } from './randAugment.ts';
import { applyRotate90 } from './orientation.ts';

interface Golden {
  readonly op: string;
  readonly seed: number;
  readonly from: readonly [width: number, height: number];
  readonly value: number;
  readonly kernel: number;
  readonly mode: Interpolation;
  readonly fill: Color;
  readonly sign: number;
  readonly dull?: boolean;
  readonly pixels: string;
}

const black: Color = [0, 0, 0];

/** Result of the golden's operation on its picture. */
const operations: Record<string, (image: Image, golden: Golden) => { readonly data: Uint8Array }> = {
  brightness: (image, { value }) => adjustBrightness(image, value),
  contrast: (image, { value }) => adjustContrast(image, value),
  saturation: (image, { value }) => adjustSaturation(image, value),
  sharpness: (image, { value }) => adjustSharpness(image, value),
  hue: (image, { value }) => adjustHue(image, value),
  grayscale: (image) => grayscale(image),
  posterize: (image, { value }) => posterize(image, value),
  solarize: (image, { value }) => solarize(image, value),
  autocontrast: (image) => autoContrast(image),
  equalize: (image) => equalize(image),
  blur: (image, { kernel, value }) => blur(image, kernel, value),
  rotate: (image, { value, mode, fill }) =>
    affineSample({ image }, rotationMap(image, value), { interpolation: mode, fill }).image,
  'rotate-mask': (image, { value }) => {
    const { width, height } = image;
    const mask = { width, height, data: image.data.filter((_, i) => i % 3 === 0), outside: 255 };
    const rotated = affineSample({ image, masks: [mask] }, rotationMap(image, value), {
      interpolation: 'bilinear',
      fill: black,
    });
    return rotated.masks![0]!;
  },
  quarters: (image, { value }) => applyRotate90({ image }, { type: 'rotate90' }, drawing(value)).image,
  randaugment: (image, { value, sign }) => {
    const options = { interpolation: 'nearest', fill: black } as const;
    return randAugmentOperations[value]!.apply({ image }, (sign * 9) / 30, options).image;
  },
};

/** A generator whose next whole number is `value`. */
function drawing(value: number): Random {
  const random = new Random(0);
  random.index = () => value;
  return random;
}

const { cases } = fixture<{ cases: Golden[] }>('augment.json');

test.each(cases)('$op $value $mode $sign of picture $seed is that of torchvision on Pillow', (golden) => {
  const picture = synthetic(...golden.from, golden.seed);
  const image = golden.dull ? { ...picture, data: picture.data.map((level) => Math.floor(level / 3) + 40) } : picture;
  const { data } = operations[golden.op]!(image, golden);
  const expected = bytesOf(golden.pixels);
  expect(data.length).toBe(expected.length);
  // torchvision blurs in float32, so a level in the middle of two may fall either way. Pillow's hue has 8 bits.
  const tolerance = { blur: 1, hue: 16 }[golden.op] ?? 0;
  const off = [...expected.keys()].filter((i) => Math.abs(expected[i]! - data[i]!) > tolerance);
  expect(off.map((i) => `${i}: ${data[i]} is not ${expected[i]}`).slice(0, 5)).toEqual([]);
});
