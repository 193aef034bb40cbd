/** @file Resizes images: in 8 bits as Pillow, in floating point as torchvision. */

import type { Image } from '../../image/image.ts';
import { cropPlane, type Offset, type Plane } from '../crop.ts';
import type { Size } from '../imagePlan.ts';
import { filterWeights, type Resample, type ResampleWeights, resampleWeights } from './resampleFilters.ts';
import { resampleColumns, resampleRows, type Span } from './resamplePasses.ts';

/**
 * Resizes to `[height, width]` like Pillow 13's `Image.resize((width, height), resample)` on 8-bit RGB: two passes with
 * fixed-point weights, each rounded and clipped to 8 bits; unchanged axes are skipped. Returns `image` itself if
 * nothing changes.
 *
 * The horizontal pass comes first, unless the height shrinks by more than twice as many pixels as the width: new in
 * Pillow 13 (python-pillow/Pillow#9549), with a difference of a level or two.
 * @param window the wanted part of the result; only it is computed
 */
export function resize(
  image: Image,
  height: number,
  width: number,
  resample: Resample,
  window: Offset & Size = { top: 0, left: 0, height, width },
): Image {
  if (image.height === height && image.width === width) return cropPlane(image, 3, window, window);
  if (resample === 'nearest') return cropPlane(resizeNearest(image, 3, height, width), 3, window, window);
  const across = image.width === width ? undefined : resampleWeights(image.width, width, resample);
  const down = image.height === height ? undefined : resampleWeights(image.height, height, resample);
  const columns = { from: window.left, count: window.width };
  const rows = { from: window.top, count: window.height };

  const rowsLost = image.height - height;
  if (down && rowsLost > 0 && rowsLost > 2 * (image.width - width)) {
    const low = resampleRows(image, down, rows, 0);
    return across
      ? resampleColumns(low, across, columns, { from: 0, count: rows.count })
      : cropPlane(low, 3, { top: 0, left: window.left }, window);
  }
  const needed = down ? inputRows(down, rows) : rows;
  const narrow = across
    ? resampleColumns(image, across, columns, needed)
    : cropPlane(image, 3, { top: needed.from, left: window.left }, { height: needed.count, width: window.width });
  return down ? resampleRows(narrow, down, rows, needed.from) : narrow;
}

/** The input rows of a range of output rows. */
function inputRows({ first, count }: ResampleWeights, rows: Span): Span {
  const from = first[rows.from]!;
  const last = rows.from + rows.count - 1;
  return { from, count: first[last]! + count[last]! - from };
}

/** Pillow's `NEAREST` on `[height, width, channels]`. Returns `plane` itself if nothing changes. */
export function resizeNearest(plane: Plane, channels: number, height: number, width: number): Plane {
  if (plane.height === height && plane.width === width) return plane;
  const columns = nearestPositions(plane.width, width);
  const rows = nearestPositions(plane.height, height);
  const out = new Uint8Array(height * width * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = rows[y]! * plane.width;
    for (let x = 0; x < width; x++) {
      const from = (row + columns[x]!) * channels;
      for (let c = 0; c < channels; c++) out[at++] = plane.data[from + c]!;
    }
  }
  return { width, height, data: out };
}

/** The input pixel under each output pixel's centre, accumulated as in Pillow with its rounding errors. */
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

/** Resizes in floating point, levels 0 to 255, as torch's `interpolate(antialias=True)` but with Pillow's filters. */
export function resizeFractional(image: Image, height: number, width: number, resample: Resample): Plane<Float32Array> {
  if (resample === 'nearest') {
    const pixels = resizeNearest(image, 3, height, width);
    return { height, width, data: Float32Array.from(pixels.data) };
  }
  const columns = filterWeights(image.width, width, resample);
  const rows = filterWeights(image.height, height, resample);
  const rowLength = width * 3;
  const wide = new Float64Array(image.height * rowLength);
  for (let y = 0, at = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      let from = (y * image.width + columns.first[x]!) * 3;
      for (let k = x * columns.stride; k < x * columns.stride + columns.count[x]!; k++, from += 3) {
        const weight = columns.weights[k]!;
        wide[at] = wide[at]! + image.data[from]! * weight;
        wide[at + 1] = wide[at + 1]! + image.data[from + 1]! * weight;
        wide[at + 2] = wide[at + 2]! + image.data[from + 2]! * weight;
      }
    }
  }
  const data = new Float32Array(height * rowLength);
  const sums = new Float64Array(rowLength);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = 0; k < rows.count[y]!; k++) {
      const weight = rows.weights[y * rows.stride + k]!;
      const row = (rows.first[y]! + k) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i] = sums[i]! + wide[row + i]! * weight;
    }
    data.set(sums, y * rowLength);
  }
  return { height, width, data };
}
