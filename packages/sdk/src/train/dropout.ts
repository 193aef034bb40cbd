/** @file The masks of dropout: drawn outside of the graph from a seed and a counter, so that a run that goes on draws the same. */

import type { DropoutMask } from '../lora/adapterInputs.ts';
import { Random } from '../runtime/random.ts';
import { sizeOf, type Tensor } from '../runtime/tensor.ts';

/** What of a layer's input a step reads: 1 where a number is kept, in the shape of the mask. Of noise the numbers themselves. */
export type DrawMask = (mask: DropoutMask, run: number) => Uint8Array | Float32Array;

/** Draws masks, those of each run of a graph by the number of the run. */
export class MaskDrawer {
  readonly #draw: DrawMask | undefined;
  readonly #seed: number;
  /** How many runs of graphs with masks have been made. */
  runs = 0;

  /**
   * Draws from a seed.
   *
   * @param draw in place of random numbers
   */
  constructor(seed: number, draw?: DrawMask) {
    this.#seed = seed;
    this.#draw = draw;
  }

  /** The masks of the next run, by the names of their inputs. */
  next(masks: readonly DropoutMask[]): [string, Tensor][] {
    if (masks.length === 0) return [];
    const run = this.runs++;
    const random = new Random((Math.imul(run + 1, 0x9e3779b1) ^ this.#seed) >>> 0);
    return masks.map((mask) => {
      const data = this.#draw ? this.#draw(mask, run) : drawn(mask, random);
      return [mask.name, { type: mask.keep === 'noise' ? 'float32' : 'bool', dims: mask.dims, data } as Tensor];
    });
  }
}

function drawn({ dims, keep }: DropoutMask, random: Random): Uint8Array | Float32Array {
  return keep === 'noise' ? new Float32Array(sizeOf(dims)).map(() => random.normal()) : kept(dims, keep, random);
}

/** Sixteen random bits tell of each number whether it is kept. */
function kept(dims: readonly number[], keep: number, random: Random): Uint8Array {
  const data = new Uint8Array(sizeOf(dims));
  const below = Math.round(keep * 2 ** 16);
  for (let i = 0; i < data.length; i += 2) {
    const bits = random.next() * 2 ** 32;
    data[i] = Number((bits & 0xffff) < below);
    if (i + 1 < data.length) data[i + 1] = Number(bits / 2 ** 16 < below);
  }
  return data;
}
