/** @file Resizes RGB images bit for bit as Pillow's `Image.resize` does. */

import type { Image } from '../image/image.ts';
import { precisionBits, type Resample, resampleWeights } from './resampleFilters.ts';

// A constant of this file, for some bundlers turn an imported one into a property, which the inner loops would feel.
const bits = precisionBits;
/** Added before the fraction is cut off, so that it is rounded. */
const half = 1 << (bits - 1);

/**
 * Resizes to `[height, width]` with the result of Pillow 13's `Image.resize((width, height), resample)` on 8-bit RGB:
 * two passes, each rounded and clipped to 8 bits, with fixed-point weights; a pass that would change no size is left
 * out. Returns `image` itself when its size is right already.
 *
 * The horizontal pass comes first, except when the height shrinks by more than twice as many pixels as the width.
 * That exception is new in Pillow 13 (python-pillow/Pillow#9549) and may change a pixel by a level or two.
 */
export function resize(image: Image, height: number, width: number, resample: Resample): Image {
  if (image.height === height && image.width === width) return image;
  if (resample === 'nearest') return nearest(image, height, width);
  const rowsLost = image.height - height;
  return rowsLost > 0 && rowsLost > 2 * (image.width - width)
    ? horizontal(vertical(image, height, resample), width, resample)
    : vertical(horizontal(image, width, resample), height, resample);
}

function horizontal(image: Image, width: number, resample: Exclude<Resample, 'nearest'>): Image {
  if (image.width === width) return image;
  const { stride, first, count, weights } = resampleWeights(image.width, width, resample);
  const { height, data } = image;
  // A clamped array clips on storing, which is what Pillow's clip8 does.
  const out = new Uint8ClampedArray(height * width * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = y * image.width * 3;
    for (let x = 0; x < width; x++) {
      let red = half;
      let green = half;
      let blue = half;
      let from = row + first[x]! * 3;
      const start = x * stride;
      const end = start + count[x]!;
      for (let k = start; k < end; k++, from += 3) {
        const weight = weights[k]!;
        red = (red + Math.imul(data[from]!, weight)) | 0;
        green = (green + Math.imul(data[from + 1]!, weight)) | 0;
        blue = (blue + Math.imul(data[from + 2]!, weight)) | 0;
      }
      out[at++] = red >> bits;
      out[at++] = green >> bits;
      out[at++] = blue >> bits;
    }
  }
  return { width, height, data: new Uint8Array(out.buffer) };
}

function vertical(image: Image, height: number, resample: Exclude<Resample, 'nearest'>): Image {
  if (image.height === height) return image;
  const { stride, first, count, weights } = resampleWeights(image.height, height, resample);
  const { width, data } = image;
  const rowLength = width * 3;
  const out = new Uint8ClampedArray(height * rowLength);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = first[y]! * rowLength;
    const start = y * stride;
    const end = start + count[y]!;
    for (let i = 0; i < rowLength; i += 3) {
      let red = half;
      let green = half;
      let blue = half;
      for (let k = start, from = row + i; k < end; k++, from += rowLength) {
        const weight = weights[k]!;
        red = (red + Math.imul(data[from]!, weight)) | 0;
        green = (green + Math.imul(data[from + 1]!, weight)) | 0;
        blue = (blue + Math.imul(data[from + 2]!, weight)) | 0;
      }
      out[at++] = red >> bits;
      out[at++] = green >> bits;
      out[at++] = blue >> bits;
    }
  }
  return { width, height, data: new Uint8Array(out.buffer) };
}

function nearest(image: Image, height: number, width: number): Image {
  const columns = nearestPositions(image.width, width);
  const rows = nearestPositions(image.height, height);
  const out = new Uint8Array(height * width * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = rows[y]! * image.width;
    for (let x = 0; x < width; x++) {
      const from = (row + columns[x]!) * 3;
      out[at++] = image.data[from]!;
      out[at++] = image.data[from + 1]!;
      out[at++] = image.data[from + 2]!;
    }
  }
  return { width, height, data: out };
}

/** The input pixel under the centre of each output pixel. The position is summed up, as Pillow does, error and all. */
function nearestPositions(inputSize: number, outputSize: number): Int32Array {
  const step = inputSize / outputSize;
  const positions = new Int32Array(outputSize);
  let position = step * 0.5;
  for (let i = 0; i < outputSize; i++) {
    positions[i] = Math.min(inputSize - 1, Math.trunc(position));
    position += step;
  }
  return positions;
}
