/** @file Prompts drawn from a mask, as a user would point at it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import type { Mask } from '../../augment/sample.ts';
import type { Box, Point } from '../../data/imageRecord.ts';
import { boxOfMask } from '../../data/shapes/masks.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Prompt } from './prompt.ts';
import type { SamPorts } from './samPorts.ts';

/**
 * Squared Euclidean distances, exact, in time linear in the number of pixels; Infinity where the set is empty.
 *
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

/** The lower envelope of parabolas, one for each finite value of a line. */
class Envelope {
  readonly #values: Float64Array;
  /** Where each parabola of the envelope has its lowest point. */
  readonly #centres: Int32Array;
  /** From where on each is the lowest. */
  readonly #starts: Float64Array;

  constructor(size: number) {
    this.#values = new Float64Array(size);
    this.#centres = new Int32Array(size);
    this.#starts = new Float64Array(size + 1);
  }

  /** Replaces `length` values from `first` on, `stride` apart, by the lowest of all value + squared distance. */
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

/** How the model is prompted. */
export interface PromptOptions {
  /** Points on the object; 1 by default, or 0 where it is prompted with boxes. */
  readonly points?: number;
  /** Points beside the object, within its box and half as far around it; 0 by default. */
  readonly negativePoints?: number;
  /** A box around the object. In training its edges are moved at random. */
  readonly box?: boolean;
}

/** How the graph can be prompted as wanted. */
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
 * A prompt for the object in `mask`. Points that are known are taken as they are. Others are drawn at random: those on the
 * object and beside it evenly, the edges of a box with a deviation of a tenth of its sides, 20 pixels at most. Without random
 * numbers the first point is the one farthest from the outline, and others follow in the same way; the box is exact.
 *
 * @param mask of zeros and ones, with one at least
 * @see Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643, appendix A, for training, and §7.1 for evaluation
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

/** The point deepest inside, then that deepest inside of what is left without it, and so on. */
function farthest(data: Uint8Array, count: number, { height, width }: Mask): Point[] {
  const found: Point[] = [];
  if (count < 1) return found;
  // One more row and column on each side: what lies beyond the image is not the object.
  const outside = new Uint8Array((height + 2) * (width + 2)).fill(1);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) outside[(y + 1) * (width + 2) + x + 1] = data[y * width + x] === 0 ? 1 : 0;
  for (let i = 0; i < count; i++) {
    const distances = squaredDistances(outside, { height: height + 2, width: width + 2 });
    let most = 0;
    for (let at = 0; at < distances.length; at++) if (distances[at]! > distances[most]!) most = at;
    // Where all pixels are points already, the last one comes again.
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

/** The pixel's own numbers, as SAM counts them: it adds the half itself. */
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
