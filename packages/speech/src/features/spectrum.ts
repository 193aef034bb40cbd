/** @file The power spectrum of a real frame by a mixed discrete Fourier transform. */

/**
 * |X[k]|² of frames of `size` samples, where X[k] = Σ x[n]·exp(−2πi·k·n/size). Halves the frame as long as its length
 * is even and transforms the odd rest directly: fast where the odd part of `size` is small (400 = 16 · 25).
 */
export class PowerSpectrum {
  readonly size: number;
  /** Number of frequencies, 0 to Nyquist: `size / 2 + 1`. */
  readonly bins: number;
  readonly #odd: number;
  readonly #blocks: number;
  readonly #order: Int32Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #re: Float64Array;
  readonly #im: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.bins = Math.floor(size / 2) + 1;
    this.#odd = oddPart(size);
    this.#blocks = size / this.#odd;
    this.#order = bitReversed(this.#blocks);
    this.#cos = Float64Array.from({ length: size }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.#sin = Float64Array.from({ length: size }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    this.#re = new Float64Array(size);
    this.#im = new Float64Array(size);
  }

  /** Writes the powers `[bins]` of `frame` `[size]` into `out`. */
  compute(frame: Float64Array, out: Float64Array): void {
    this.#transformBlocks(frame);
    for (let half = this.#odd; half < this.size; half *= 2) this.#combine(half);
    for (let k = 0; k < this.bins; k++) out[k] = this.#re[k]! ** 2 + this.#im[k]! ** 2;
  }

  /** Direct transforms of every `blocks`-th sample, laid out so that neighbours combine. */
  #transformBlocks(frame: Float64Array): void {
    const m = this.#odd;
    const stride = this.#blocks;
    for (let block = 0; block < stride; block++) {
      const from = this.#order[block]!;
      for (let k = 0; k < m; k++) {
        let re = 0;
        let im = 0;
        // exp(−2πi·k·n/m) is the table's entry k·n·stride, kept in range step by step.
        for (let n = 0, turn = 0; n < m; n++) {
          const x = frame[from + n * stride]!;
          re += x * this.#cos[turn]!;
          im += x * this.#sin[turn]!;
          turn += k * stride;
          if (turn >= this.size) turn -= this.size;
        }
        this.#re[block * m + k] = re;
        this.#im[block * m + k] = im;
      }
    }
  }

  /** Pairs of transforms of `half` values become transforms of twice as many. */
  #combine(half: number): void {
    const [re, im] = [this.#re, this.#im];
    const turn = this.size / (2 * half);
    for (let start = 0; start < this.size; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const [even, odd] = [start + k, start + half + k];
        const [c, s] = [this.#cos[k * turn]!, this.#sin[k * turn]!];
        const tr = re[odd]! * c - im[odd]! * s;
        const ti = re[odd]! * s + im[odd]! * c;
        re[odd] = re[even]! - tr;
        im[odd] = im[even]! - ti;
        re[even] = re[even]! + tr;
        im[even] = im[even]! + ti;
      }
    }
  }
}

/** The largest odd divisor of `size`: what a transform of that size costs per sample. */
export function oddPart(size: number): number {
  return size % 2 === 0 ? oddPart(size / 2) : size;
}

function bitReversed(count: number): Int32Array {
  const order = new Int32Array(count);
  for (let length = 1; length < count; length *= 2) {
    for (let i = 0; i < length; i++) {
      order[i] = order[i]! * 2;
      order[length + i] = order[i]! + 1;
    }
  }
  return order;
}
