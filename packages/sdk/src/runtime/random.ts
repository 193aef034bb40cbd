/** @file Seeded random numbers, for reproducible runs. */

/** State of a generator: four 32-bit numbers. */
export type RandomState = readonly number[];

/** xoshiro128**, seeded through splitmix32. @see https://prng.di.unimi.it/xoshiro128starstar.c */
export class Random {
  readonly #state: Uint32Array;

  /** The same seed gives the same numbers. */
  constructor(seed: number) {
    let z = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      z = (z + 0x9e3779b9) >>> 0;
      let t = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
      return (t ^ (t >>> 15)) >>> 0;
    });
  }

  /** Restores a generator from a state. */
  static at(state: RandomState): Random {
    const random = new Random(0);
    random.#state.set(state);
    return random;
  }

  /** The current state. */
  state(): RandomState {
    return [...this.#state];
  }

  /** Uniform in `[0, 1)`, with 32 random bits. */
  next(): number {
    const s = this.#state;
    const rotate = (x: number, k: number): number => ((x << k) | (x >>> (32 - k))) >>> 0;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result / 2 ** 32;
  }

  /** Uniform in `[low, high)`. */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** Normally distributed with mean 0 and deviation 1 (Box and Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** An integer from 0 to `below − 1`. */
  index(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** The numbers 0 to `length − 1` in random order (Fisher–Yates). */
  permutation(length: number): number[] {
    const order = Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.index(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

/** Derives the seed of one draw of a run from both numbers. */
export function drawSeed(seed: number, draw: number): number {
  // Multiplication by an odd number is a permutation of 32-bit numbers: no two draws of a run are alike.
  return (Math.imul(seed, 0x9e3779b1) ^ Math.imul(draw + 1, 0x85ebca77)) >>> 0;
}
