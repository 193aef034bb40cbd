/** @file Random numbers as torch's CPU generator draws them, for tensors that PEFT makes from a seed. */

const SIZE = 624;
const MIDDLE = 397;

/**
 * The Mersenne Twister, MT19937: `torch.Generator('cpu').manual_seed(seed)`. Numbers are torch's to the bit.
 *
 * @see Matsumoto and Nishimura, 1998, doi:10.1145/272991.272995
 */
export class TorchRandom {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  /**
   * Begins anew.
   *
   * @param seed of which the lower 32 bits count, as in torch
   */
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

  /** As `torch.empty(count).uniform_(from, to)` fills a float32 tensor: 24 bits for each number. */
  uniform(count: number, from: number, to: number): Float32Array {
    const [low, high] = [Math.fround(from), Math.fround(to)];
    const range = Math.fround(high - low);
    return new Float32Array(count).map(() => {
      const unit = (this.bits() & 0xffffff) / 2 ** 24;
      return Math.fround(Math.fround(unit * range) + low);
    });
  }

  /**
   * As `torch.randn` fills a float32 tensor of 16 numbers or more, by Box's and Muller's transform of blocks of 16. Sine,
   * cosine and logarithm are torch's to the last few bits.
   *
   * @throws RangeError for fewer, which torch draws otherwise
   */
  normal(count: number): Float32Array {
    if (count < 16) throw new RangeError(`torch draws ${count} normal numbers in another way than 16 and more.`);
    const numbers = this.uniform(count, 0, 1);
    for (let at = 0; at + 16 <= count; at += 16) inPairs(numbers.subarray(at, at + 16));
    // What is left over is drawn anew, with those before it that fill a block.
    if (count % 16 !== 0) {
      numbers.set(this.uniform(16, 0, 1), count - 16);
      inPairs(numbers.subarray(count - 16));
    }
    return numbers;
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

/** Normal numbers of uniform ones: the first eight give lengths, the others directions. */
function inPairs(block: Float32Array): void {
  for (let i = 0; i < 8; i++) {
    const length = Math.sqrt(-2 * Math.log(1 - block[i]!));
    const direction = 2 * Math.PI * block[i + 8]!;
    block[i] = length * Math.cos(direction);
    block[i + 8] = length * Math.sin(direction);
  }
}
