/** @file Dropout masks, drawn from a seed and a counter outside the graph, so that a resumed run draws the same. */

import type { DropoutMask } from '../lora/adapterInputs.ts';
import { Random } from '../runtime/random.ts';
import { sizeOf, type Tensor } from '../runtime/tensor.ts';

/** Draws a mask: 1 for kept elements, in the mask's shape; for noise the numbers themselves. */
export type DrawMask = (mask: DropoutMask, run: number) => Uint8Array | Float32Array;

/** Draws masks by run number. */
export class MaskDrawer {
  readonly #draw: DrawMask | undefined;
  readonly #seed: number;
  /** Number of runs of graphs with masks. */
  runs = 0;

  /** Draws masks from a seed. @param draw replaces random numbers */
  constructor(seed: number, draw?: DrawMask) {
    this.#seed = seed;
    this.#draw = draw;
  }

  /** Masks of the next run, by input name. */
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

/** Sixteen random bits per element decide whether it is kept. */
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
