/** @file Prompts sampled from a mask. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import type { Mask } from '../../augment/sample.ts';
import type { Box, Point } from '../../data/imageRecord.ts';
import { boxOfMask } from '../../data/shapes/masks.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Prompt } from './prompt.ts';
import type { SamPorts } from './samPorts.ts';

/**
 * Exact squared Euclidean distances to a set of pixels, in linear time; Infinity for an empty set.
 * @param isIn 1 for pixels of the set, `[height, width]`
 * @see Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8 (2012)
 */
function squaredDistances(isIn: Uint8Array, { height, width }: Size): Float64Array {
  const out = Float64Array.from(isIn, (each) => (each === 0 ? Infinity : 0));
  const room = new Envelope(Math.max(height, width));
  for (let x = 0; x < width; x++) room.transform(out, x, width, height);
  for (let y = 0; y < height; y++) room.transform(out, y * width, 1, width);
  return out;
}

/** The lower envelope of parabolas, one per finite value of a line. */
class Envelope {
  readonly #values: Float64Array;
  readonly #centres: Int32Array;
  /** Position from which each is the lowest. */
  readonly #starts: Float64Array;

  constructor(size: number) {
    this.#values = new Float64Array(size);
    this.#centres = new Int32Array(size);
    this.#starts = new Float64Array(size + 1);
  }

  /** Replaces `length` values from `first`, `stride` apart, by the minimum of value + squared distance. */
  transform(data: Float64Array, first: number, stride: number, length: number): void {
    const [values, centres, starts] = [this.#values, this.#centres, this.#starts];
    let last = -1;
    for (let i = 0, at = first; i < length; i++, at += stride) {
      const value = data[at]!;
      values[i] = value;
      if (value === Infinity) continue;
      let start = -Infinity;
      while (last >= 0) {
        const centre = centres[last]!;
        start = (value + i * i - values[centre]! - centre * centre) / (2 * (i - centre));
        if (start > starts[last]!) break;
        last--;
      }
      last++;
      centres[last] = i;
      starts[last] = last === 0 ? -Infinity : start;
    }
    if (last < 0) return;
    starts[last + 1] = Infinity;
    for (let i = 0, k = 0, at = first; i < length; i++, at += stride) {
      while (starts[k + 1]! < i) k++;
      const centre = centres[k]!;
      data[at] = (i - centre) ** 2 + values[centre]!;
    }
  }
}

/** Kinds of prompts in training and evaluation. */
export interface PromptOptions {
  /** Points on the object; 1 by default, or 0 with boxes. */
  readonly points?: number;
  /** Points off the object, within its box enlarged by half; 0 by default. */
  readonly negativePoints?: number;
  /** A box around the object, with random edges in training. */
  readonly box?: boolean;
}

/** Resolves prompt options against the graph's inputs. */
export function promptOptions(wanted: PromptOptions, ports: SamPorts, name: string): Required<PromptOptions> {
  const box = wanted.box ?? (ports.boxes !== undefined && ports.points === undefined);
  const { points = box ? 0 : 1, negativePoints = 0 } = wanted;
  const counts = { points, negativePoints };
  for (const [key, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 0)
      throw invalid(`"${key}" of the prompts must be a whole number of at least 0, but it is ${value}.`);
  }
  if (!box && points === 0) throw invalid('Prompts must have a point on the object, or a box.');
  if (points + negativePoints > 0 && ports.points === undefined)
    throw invalid(`"${name}" takes no points. Prompt it with boxes (prompts: { box: true }).`);
  if (box && ports.boxes === undefined)
    throw invalid(`"${name}" takes no boxes: it was exported with points only. Prompt it with points.`);
  if (!box && ports.boxes !== undefined)
    throw invalid(`"${name}" was exported with boxes, so each prompt needs one (prompts: { box: true }).`);
  if (ports.mask !== undefined)
    throw invalid(`"${name}" wants an earlier mask with each prompt, which cannot be trained. Export it without.`);
  return { points, negativePoints, box };
}

/**
 * A prompt for the object in `mask`. Given points are kept. Others are random in training: uniform on and off the
 * object, with box edges off by a deviation of a tenth of the sides, at most 20 pixels. Without a random source, points
 * are farthest from the outline, and the box is exact.
 * @param mask in zeros and ones, not empty
 * @see Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643, appendix A for training, §7.1 for evaluation
 */
export function promptFor(
  mask: Mask,
  { points, negativePoints, box }: Required<PromptOptions>,
  { known = [], random }: { readonly known?: readonly Point[]; readonly random?: Random | undefined } = {},
): Prompt {
  const bounds = boxOfMask(mask)!;
  const given = known.slice(0, points);
  const on = random
    ? drawn(placesIn(mask, 1), points - given.length, mask, random)
    : farthest(mask.data, points - given.length, mask);
  const near = negativePoints === 0 ? [] : placesIn(mask, 0, around(bounds, mask));
  const beside = random ? drawn(near, negativePoints, mask, random) : spread(near, negativePoints, mask);
  const all = [...given, ...on, ...beside];
  return {
    ...(all.length > 0 && { points: all, labels: all.map((_, i) => (i < given.length + on.length ? 1 : 0)) }),
    ...(box && { box: random ? jittered(bounds, mask, random) : bounds }),
  };
}

function drawn(places: readonly number[], count: number, { width }: Mask, random: Random): Point[] {
  if (places.length === 0) return [];
  return Array.from({ length: count }, () => pointAt(places[random.index(places.length)]!, width));
}

/** Every `places ÷ count`-th place, from the middle of each part. */
function spread(places: readonly number[], count: number, { width }: Mask): Point[] {
  if (places.length === 0) return [];
  return Array.from({ length: count }, (_, i) =>
    pointAt(places[Math.floor(((i + 0.5) * places.length) / count)]!, width),
  );
}

/** The deepest point inside, then the deepest one without it, and so on. */
function farthest(data: Uint8Array, count: number, { height, width }: Mask): Point[] {
  const found: Point[] = [];
  if (count < 1) return found;
  // Padded by a pixel, since the object ends at the image's edge.
  const outside = new Uint8Array((height + 2) * (width + 2)).fill(1);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) outside[(y + 1) * (width + 2) + x + 1] = data[y * width + x] === 0 ? 1 : 0;
  for (let i = 0; i < count; i++) {
    const distances = squaredDistances(outside, { height: height + 2, width: width + 2 });
    let most = 0;
    for (let at = 0; at < distances.length; at++) if (distances[at]! > distances[most]!) most = at;
    // Repeats the last point when none is left.
    const isNew = distances[most]! > 0;
    found.push(isNew ? [(most % (width + 2)) - 1, Math.floor(most / (width + 2)) - 1] : found.at(-1)!);
    outside[most] = 1;
  }
  return found;
}

function placesIn({ data, width, height }: Mask, value: 0 | 1, box: Box = [0, 0, width, height]): number[] {
  const [x0, y0, x1, y1] = box;
  const places: number[] = [];
  for (let y = y0; y < y1; y++)
    for (let x = x0; x < x1; x++) if (data[y * width + x] === value) places.push(y * width + x);
  return places;
}

/** SAM's point of a pixel is its index; SAM adds the half itself. */
function pointAt(place: number, width: number): Point {
  return [place % width, Math.floor(place / width)];
}

function around([x0, y0, x1, y1]: Box, { width, height }: Mask): Box {
  const [dx, dy] = [Math.ceil((x1 - x0) / 2), Math.ceil((y1 - y0) / 2)];
  return [Math.max(0, x0 - dx), Math.max(0, y0 - dy), Math.min(width, x1 + dx), Math.min(height, y1 + dy)];
}

function jittered([x0, y0, x1, y1]: Box, { width, height }: Mask, random: Random): Box {
  const moved = (at: number, side: number, limit: number): number => {
    const step = Math.min(Math.max(random.normal() * 0.1 * side, -20), 20);
    return Math.min(Math.max(at + step, 0), limit);
  };
  const [w, h] = [x1 - x0, y1 - y0];
  const [a, c] = [moved(x0, w, width), moved(x1, w, width)];
  const [b, d] = [moved(y0, h, height), moved(y1, h, height)];
  return [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
}

function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}
