/** @file How far each pixel is from the nearest pixel of a set. */

import type { Size } from '../../preprocess/imagePlan.ts';

/**
 * Squared Euclidean distances, exact, in time linear in the number of pixels; Infinity where the set is empty.
 *
 * @param isIn 1 for pixels of the set, `[height, width]`
 * @see Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8 (2012)
 */
export function squaredDistances(isIn: Uint8Array, { height, width }: Size): Float64Array {
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
