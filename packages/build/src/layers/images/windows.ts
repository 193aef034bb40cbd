/** @file Maps as attention windows: Liu et al. 2021. */

import { float32, int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';
import { tableOf } from '../bounds.ts';

export interface Windows {
  /** `[height, width]` of the map. */
  readonly map: readonly [number, number];
  /** Side of a window. The map is zero-padded below and at the right to a multiple of it. */
  readonly side: number;
  /** Cyclic shift of the padded map, in rows and columns. */
  readonly shift?: number;
}

/** Coordinates `[row, column]` in the padded map, window by window. */
function places({ map, side, shift = 0 }: Windows): [row: number, column: number][] {
  const [height, width] = map.map((size) => side * Math.ceil(size / side)) as [number, number];
  const [rows, columns] = [height / side, width / side];
  return tableOf(height * width, (i) => {
    const [window, place] = [Math.floor(i / side ** 2), i % side ** 2];
    const row = Math.floor(window / columns) * side + Math.floor(place / side);
    const column = (window % columns) * side + (place % side);
    return [(row + shift) % (rows * side), (column + shift) % (columns * side)];
  });
}

/** `[batch, height · width, channels]` → `[batch · windows, side², channels]`. */
export function intoWindows({ g }: Module, x: Value, windows: Windows): Value {
  const { side } = windows;
  const [height, width] = windows.map;
  const end = height * width;
  const from = places(windows).map(([row, column]) => (row < height && column < width ? row * width + column : end));
  const padded = from.includes(end) ? g.Pad(x, [0, 0, 0, 0, 1, 0]) : x;
  const taken = g.Gather(padded, g.constant(int64(from, [from.length])), 1);
  return g.Reshape(taken, [-1, side ** 2, Number(x.shape!.at(-1))]);
}

/** Inverse of {@link intoWindows}, without the padding. */
export function fromWindows({ g }: Module, x: Value, windows: Windows): Value {
  const [height, width] = windows.map;
  const to = Array<number>(height * width).fill(0);
  const all = places(windows);
  for (const [i, [row, column]] of all.entries()) if (row < height && column < width) to[row * width + column] = i;
  const joined = g.Reshape(x, [-1, all.length, Number(x.shape!.at(-1))]);
  return g.Gather(joined, g.constant(int64(to, [to.length])), 1);
}

/** Mask of a shifted map, `unseen` between its wrapped ends: `[windows, 1, side², side²]`. */
export function shiftMask({ g }: Module, { map, side, shift = 0 }: Windows, unseen: number): Value {
  const [height, width] = map.map((size) => side * Math.ceil(size / side)) as [number, number];
  const region = (place: number, size: number): number => Number(place >= size - side) + Number(place >= size - shift);
  const area = side ** 2;
  // Regions in the shifted map.
  const regions = places({ map, side }).map(([row, column]) => 3 * region(row, height) + region(column, width));
  const count = regions.length / area;
  const mask = tableOf(count * area * area, (i) => {
    const window = Math.floor(i / area ** 2) * area;
    return regions[window + (Math.floor(i / area) % area)] === regions[window + (i % area)] ? 0 : unseen;
  });
  return g.constant(float32(mask, [count, 1, area, area]));
}

/** Table row of each query–key offset in a window: `[side², side²]`, rows before columns. */
export function windowDistances(side: number): number[] {
  const area = side ** 2;
  return tableOf(area ** 2, (i) => {
    const [query, key] = [Math.floor(i / area), i % area];
    const rows = Math.floor(query / side) - Math.floor(key / side) + side - 1;
    return rows * (2 * side - 1) + (query % side) - (key % side) + side - 1;
  });
}
