/** @file Metrics of masks: overlap, boundaries, and confusion by class. */

import type { Mask } from '../augment/sample.ts';

/** Pixels in both masks, and in either. */
interface Overlap {
  readonly both: number;
  readonly either: number;
}

/** Counts the overlap of two masks of one size. */
export function overlapOf(found: Uint8Array, truth: Uint8Array): Overlap {
  let [both, either] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    both += found[i]! & truth[i]!;
    either += found[i]! | truth[i]!;
  }
  return { both, either };
}

/** Intersection over union; 1 for two empty masks. */
export function intersectionOverUnion({ both, either }: Overlap): number {
  return either === 0 ? 1 : both / either;
}

/** `2·|A ∩ B| ÷ (|A| + |B|)`; 1 for two empty masks. */
export function diceScore({ both, either }: Overlap): number {
  return either === 0 ? 1 : (2 * both) / (either + both);
}

/** Boundary tolerance as a share of the diagonal, as in the DAVIS benchmark. */
const TOLERANCE = 0.008;

/**
 * The boundary F measure of two masks in zeros and ones: the harmonic mean of the outlines' precision and recall within
 * 0.8 % of the diagonal. 1 without any outline, 0 if only one mask has one.
 * @see https://doi.org/10.1109/CVPR.2016.85 Perazzi et al., the measure F of the DAVIS benchmark
 */
export function boundaryF(found: Mask, truth: Mask): number {
  const { width, height } = truth;
  const reach = Math.ceil(TOLERANCE * Math.hypot(width, height));
  const [a, b] = [outline(found), outline(truth)];
  if (a.length === 0 && b.length === 0) return 1;
  if (a.length === 0 || b.length === 0) return 0;
  const disk = offsetsWithin(reach);
  const precision = near(a, b, truth, disk) / a.length;
  const recall = near(b, a, truth, disk) / b.length;
  return precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/** Pixels that differ from the right or lower neighbour. */
function outline({ width, height, data }: Mask): number[] {
  const pixels: number[] = [];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const right = x + 1 < width ? 1 : 0;
      const below = y + 1 < height ? width : 0;
      const value = data[at]!;
      if (data[at + right] !== value || data[at + below] !== value || data[at + right + below] !== value)
        pixels.push(at);
    }
  }
  return pixels;
}

function offsetsWithin(reach: number): readonly (readonly [x: number, y: number])[] {
  const side = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  const all = side.flatMap((y) => side.filter((x) => x * x + y * y <= reach * reach).map((x) => [x, y] as const));
  // Nearest first, since most are found at once.
  return all.sort(([ax, ay], [bx, by]) => ax * ax + ay * ay - (bx * bx + by * by));
}

/** Counts `pixels` with one of `others` within the disk. */
function near(
  pixels: readonly number[],
  others: readonly number[],
  { width, height }: Mask,
  disk: readonly (readonly [x: number, y: number])[],
): number {
  const there = new Uint8Array(width * height);
  for (const at of others) there[at] = 1;
  return pixels.filter((at) => {
    const [x, y] = [at % width, Math.floor(at / width)];
    return disk.some(([dx, dy]) => {
      const [nx, ny] = [x + dx, y + dy];
      return nx >= 0 && ny >= 0 && nx < width && ny < height && there[ny * width + nx] === 1;
    });
  }).length;
}

interface ClassOverlap {
  readonly pixels: number;
  readonly iou: number;
  readonly dice: number;
}

/** Pixel counts, `[true class, found class]`. */
export class PixelConfusion {
  readonly classes: number;
  readonly #counts: Float64Array;

  constructor(classes: number) {
    this.classes = classes;
    this.#counts = new Float64Array(classes * classes);
  }

  /** Adds an image; true classes out of range, such as 255, are ignored. */
  add(truth: Uint8Array, found: Uint8Array): void {
    for (let i = 0; i < truth.length; i++) {
      if (truth[i]! < this.classes) this.#counts[truth[i]! * this.classes + found[i]!]!++;
    }
  }

  join(other: PixelConfusion): void {
    other.#counts.forEach((count, i) => (this.#counts[i]! += count));
  }

  /** Pixels of class `truth` taken for `found`. */
  count(truth: number, found: number): number {
    return this.#counts[truth * this.classes + found]!;
  }

  /** Scores by class; IoU and Dice are NaN for a class in neither. */
  perClass(): readonly ClassOverlap[] {
    const range = Array.from({ length: this.classes }, (_, i) => i);
    return range.map((c) => {
      const sum = (count: (other: number) => number): number => range.reduce((total, other) => total + count(other), 0);
      const [pixels, found] = [sum((other) => this.count(c, other)), sum((other) => this.count(other, c))];
      const both = this.count(c, c);
      return { pixels, iou: both / (pixels + found - both), dice: (2 * both) / (pixels + found) };
    });
  }

  accuracy(): number {
    const total = this.#counts.reduce((sum, count) => sum + count, 0);
    let right = 0;
    for (let c = 0; c < this.classes; c++) right += this.count(c, c);
    return right / total;
  }
}

/** Mean over classes that are not NaN. */
export function meanOver(classes: readonly ClassOverlap[], value: 'iou' | 'dice'): number {
  const known = classes.map((each) => each[value]).filter((each) => !Number.isNaN(each));
  return known.reduce((sum, each) => sum + each, 0) / known.length;
}
