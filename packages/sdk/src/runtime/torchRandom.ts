/** @file torch's CPU random generator, for tensors that PEFT initializes from a seed. */

import { OnnxLoraError } from '../errors.ts';
import { fromBfloat16s, toBfloat16 } from './halfFloat.ts';

const SIZE = 624;
const MIDDLE = 397;
/** For larger ranges `torch.randperm` draws 64 bits per place. */
const MOST_PLACES = Math.floor((2 ** 32 - 1) / 20);

/** Rounds to the nearest bfloat16. */
export function asBfloat16(value: number): number {
  return fromBfloat16s(Uint16Array.of(toBfloat16(value)))[0]!;
}

/**
 * The Mersenne Twister MT19937: `torch.Generator('cpu').manual_seed(seed)`, bit for bit.
 * @see Matsumoto and Nishimura, 1998, doi:10.1145/272991.272995
 */
export class TorchRandom {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** Seeds the generator. @param seed only the lower 32 bits count, as in torch */
  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      const before = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
  }

  /** The next 32 bits. */
  bits(): number {
    if (this.#next === SIZE) this.#turn();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** `torch.empty(count, dtype=type).uniform_(from, to)`: 24 bits per number, product and sum rounded once. */
  uniform(count: number, from: number, to: number, type: 'float32' | 'bfloat16' = 'float32'): Float32Array {
    const [low, high] = [Math.fround(from), Math.fround(to)];
    const range = Math.fround(high - low);
    const [first, end] = [asBfloat16(low), asBfloat16(high)];
    return new Float32Array(count).map(() => {
      const value = Math.fround(((this.bits() & 0xffffff) / 2 ** 24) * range + low);
      if (type === 'float32') return value;
      // The upper bound is exclusive: a number rounded to it becomes the lower bound.
      const rounded = asBfloat16(value);
      return rounded === end ? first : rounded;
    });
  }

  /** `torch.normal(0, deviation, size=(count,))` in float32, up to rounding; below sixteen in double precision. */
  normal(count: number, deviation = 1): Float32Array {
    if (count < 16) return this.#fewNormal(count, deviation);
    const values = this.uniform(count, 0, 1);
    const fill = (from: number): void => {
      for (let i = from; i < from + 8; i++) {
        const radius = deviation * Math.sqrt(-2 * Math.log(1 - values[i]!));
        const angle = 2 * Math.PI * values[i + 8]!;
        [values[i], values[i + 8]] = [radius * Math.cos(angle), radius * Math.sin(angle)];
      }
    };
    for (let from = 0; from + 16 <= count; from += 16) fill(from);
    if (count % 16 !== 0) {
      // The last sixteen are drawn again.
      values.set(this.uniform(16, 0, 1), count - 16);
      fill(count - 16);
    }
    return values;
  }

  #fewNormal(count: number, deviation: number): Float32Array {
    const unit = (): number => {
      const high = this.bits();
      return ((high & 0x1fffff) * 2 ** 32 + this.bits()) / 2 ** 53;
    };
    let next: number | undefined;
    return new Float32Array(count).map(() => {
      if (next !== undefined) {
        const own = next;
        next = undefined;
        return deviation * own;
      }
      const [angle, radius] = [2 * Math.PI * unit(), Math.sqrt(-2 * Math.log1p(-unit()))];
      next = radius * Math.sin(angle);
      return deviation * radius * Math.cos(angle);
    });
  }

  /** The first `count` of `torch.randperm(of)`. @throws OnnxLoraError `MODEL_UNSUPPORTED` beyond 32-bit draws */
  permuted(count: number, of: number): number[] {
    if (of >= MOST_PLACES) throw new OnnxLoraError('MODEL_UNSUPPORTED', `A permutation of ${of} numbers cannot be drawn as torch draws it, only one of less than ${MOST_PLACES}. Leave out so large a layer (excludeModules).`); // prettier-ignore
    // Sparse swaps: a permutation of millions is not materialized for its first thousand.
    const moved = new Map<number, number>();
    return Array.from({ length: Math.min(count, of) }, (_, i) => {
      const chosen = i === of - 1 ? i : i + (this.bits() % (of - i));
      const own = moved.get(chosen) ?? chosen;
      moved.set(chosen, moved.get(i) ?? i);
      return own;
    });
  }

  #turn(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % SIZE]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
