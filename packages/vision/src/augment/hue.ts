/** @file Turns the hue of an image, bit for bit as torchvision does on Pillow images: by Pillow's 8-bit HSV. */

import type { Image } from '../image/image.ts';

/**
 * @param turn from −0.5 to 0.5 of the colour circle
 */
export function adjustHue(image: Image, turn: number): Image {
  const { data: from } = image;
  const shift = Math.trunc(turn * 255);
  const data = new Uint8Array(from.length);
  for (let at = 0; at < from.length; at += 3) {
    const red = from[at]!;
    const green = from[at + 1]!;
    const blue = from[at + 2]!;
    const value = Math.max(red, green, blue);
    const range = Math.fround(value - Math.min(red, green, blue));
    if (range === 0) {
      data[at] = data[at + 1] = data[at + 2] = value;
      continue;
    }
    const saturation = Math.trunc(Math.fround(range / value) * 255);
    const hue = (hueOf(red, green, blue, value, range) + shift) & 255;
    writeRgb(data, at, hue, saturation, value);
  }
  return { ...image, data };
}

/** 0 to 255 around the circle; rounded to float32 where Pillow's `rgb2hsv` rounds. */
function hueOf(red: number, green: number, blue: number, value: number, range: number): number {
  const r = Math.fround((value - red) / range);
  const g = Math.fround((value - green) / range);
  const b = Math.fround((value - blue) / range);
  const sixths = Math.fround(red === value ? Math.fround(b - g) : green === value ? 2 + r - b : 4 + g - r);
  return Math.trunc(Math.fround((sixths / 6 + 1) % 1) * 255);
}

/** Pillow's `hsv2rgb`, all three from 0 to 255. */
function writeRgb(data: Uint8Array, at: number, hue: number, saturation: number, value: number): void {
  const share = Math.fround(saturation / 255);
  const sixth = Math.floor((hue * 6) / 255);
  const rest = Math.fround((hue * 6) / 255 - sixth);
  const p = Math.round(value * (1 - share));
  const q = Math.round(value * (1 - Math.fround(share * rest)));
  const t = Math.round(value * (1 - share * (1 - rest)));
  if (saturation === 0) return write(data, at, value, value, value);
  switch (sixth % 6) {
    case 0:
      return write(data, at, value, t, p);
    case 1:
      return write(data, at, q, value, p);
    case 2:
      return write(data, at, p, value, t);
    case 3:
      return write(data, at, p, q, value);
    case 4:
      return write(data, at, t, p, value);
    default:
      return write(data, at, value, p, q);
  }
}

function write(data: Uint8Array, at: number, red: number, green: number, blue: number): void {
  data[at] = red;
  data[at + 1] = green;
  data[at + 2] = blue;
}
