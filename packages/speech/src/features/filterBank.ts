/** @file Log filter bank energies of a clip's frames, in WebAssembly. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { program } from './filterBankProgram.ts';

/** One FFT pass of wasm/filterBank.wat, which documents the fields. */
interface FourierPass {
  readonly factor: 2 | 4 | 5;
  readonly m: number;
  readonly s: number;
  /** Twiddle factors exp(−2πi·k·p / (factor·m)) for p < m and k from 1 to factor − 1: real part, imaginary part. */
  readonly turns: Float32Array;
}

/** True for a frame size that the FFT supports: a multiple of 4 with no prime factors but 2 and 5. */
export function isTransformable(size: number): boolean {
  return size > 0 && size % 4 === 0 && factorsOf(size / 2) !== undefined;
}

/** FFT passes for `size` complex numbers. */
function fourierPasses(size: number): FourierPass[] {
  let s = 1;
  return (factorsOf(size) ?? []).map((factor) => {
    const m = size / s / factor;
    const turns = new Float32Array(
      Array.from({ length: m }, (_, p) =>
        Array.from({ length: factor - 1 }, (_each, k) => turn((k + 1) * p, factor * m)),
      ).flat(2),
    );
    const pass = { factor, m, s, turns };
    s *= factor;
    return pass;
  });
}

/** exp(−2πi·k / size) for k from 1 to `size / 4`, to combine the transform of a real frame. */
function realTurns(size: number): Float32Array {
  return new Float32Array(Array.from({ length: size / 4 }, (_, i) => turn(i + 1, size)).flat());
}

function turn(k: number, size: number): [number, number] {
  const angle = (-2 * Math.PI * k) / size;
  return [Math.cos(angle), Math.sin(angle)];
}

/** Largest factors first: a last pass of 2 wastes the fewest multiplications, since its twiddle factors are 1. */
function factorsOf(size: number): (2 | 4 | 5)[] | undefined {
  const factors: (2 | 4 | 5)[] = [];
  let rest = size;
  for (const factor of [5, 4, 2] as const) {
    for (; rest % factor === 0; rest /= factor) factors.push(factor);
  }
  return rest === 1 ? factors : undefined;
}

export interface FilterBankOptions {
  readonly frameLength: number;
  /** FFT size; frames are zero-padded to it: see `isTransformable`. */
  readonly fftLength: number;
  readonly hop: number;
  /** Window function, `[frameLength]`. */
  readonly window: Float64Array;
  /** Filter weights, row-major `[fftLength / 2 + 1, filters]`, each filter of adjacent bins. */
  readonly filters: Float64Array;
  readonly floor: number;
  /** Subtracts each frame's mean and applies pre-emphasis with this factor. */
  readonly emphasis?: number;
}

/** Layout of the results: strides of filters and frames. */
export interface FilterBankTarget {
  readonly data: Float32Array;
  readonly filterStep: number;
  readonly frameStep: number;
}

/** Exports of wasm/filterBank.wat, documented there. */
interface Program {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  cut(samples: number, hop: number, count: number, out: number): void;
  emphasise(row: number, count: number, share: number): void;
  weigh(row: number, window: number, count: number): void;
  pass2(x: number, y: number, m: number, s: number, turns: number): void;
  pass4(x: number, y: number, m: number, s: number, turns: number): void;
  pass5(x: number, y: number, m: number, s: number, turns: number): void;
  powers(z: number, half: number, out: number, turns: number): void;
  logs(
    powers: number,
    filters: number,
    weights: number,
    count: number,
    floor: number,
    out: number,
    outStep: number,
  ): void;
}

/** Node's WebAssembly, which its types only declare with a browser's. */
const { Instance, Module } = (
  globalThis as unknown as {
    WebAssembly: {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object) => { readonly exports: Program };
    };
  }
).WebAssembly;

let compiled: object | undefined;

const PAGE = 65_536;
/** Bytes of a float, and of a vector of four frames. */
const [NUMBER, VECTOR] = [4, 16];
/** Frames in memory at a time, a multiple of four, to fit a core's cache. */
const BLOCK = 128;

/** Natural logarithm of the filtered power spectrum |X[k]|² of each frame, X[k] = Σ x[n]·exp(−2πi·k·n / fftLength). */
export class FilterBank {
  readonly count: number;
  readonly #options: FilterBankOptions;
  readonly #program: Program;
  readonly #samples: Float32Array;
  readonly #logs: Float32Array;
  /** Processes the four frames from frame `i` of the block. */
  readonly #frames: (i: number) => void;

  constructor(options: FilterBankOptions) {
    const { frameLength, fftLength, hop, window, floor, emphasis } = options;
    this.#options = options;
    const half = fftLength / 2;
    this.count = options.filters.length / (half + 1);
    const { count } = this;
    this.#program = new Instance((compiled ??= new Module(Buffer.from(program, 'base64')))).exports;
    const { memory } = this.#program;
    let end = 0;
    const area = (bytes: number): number => {
      const start = end;
      end += Math.ceil(bytes / VECTOR) * VECTOR;
      return start;
    };
    // Frames are read four samples at a time; surplus samples have weight 0.
    const cut = Math.ceil(frameLength / 4) * 4;
    const samples = area((BLOCK * hop + cut) * NUMBER);
    const [row, x, y] = [area(fftLength * VECTOR), area(fftLength * VECTOR), area(fftLength * VECTOR)];
    const powers = area((half + 1) * VECTOR);
    const logs = area(count * BLOCK * NUMBER);
    const tables: [at: number, table: Float32Array | Int32Array][] = [];
    const stored = (table: Float32Array | Int32Array): number => {
      const at = area(table.length * NUMBER);
      tables.push([at, table]);
      return at;
    };
    const windowAt = stored(Float32Array.from({ length: cut }, (_, i) => window[i] ?? 0));
    const passes = fourierPasses(half).map(({ factor, m, s, turns }, i) => ({
      run: this.#program[`pass${factor}`],
      from: i === 0 ? row : i % 2 === 1 ? x : y,
      to: i % 2 === 0 ? x : y,
      m,
      s,
      turns: stored(turns),
    }));
    const transformed = passes.at(-1)!.to;
    const realAt = stored(realTurns(fftLength));
    const { ranges, weights } = sparse(options.filters, count);
    const [rangesAt, weightsAt] = [stored(ranges), stored(weights)];
    memory.grow(Math.ceil(end / PAGE) - memory.buffer.byteLength / PAGE);
    for (const [at, table] of tables) new Int32Array(memory.buffer, at, table.length).set(new Int32Array(table.buffer));
    this.#samples = new Float32Array(memory.buffer, samples, BLOCK * hop + cut);
    this.#logs = new Float32Array(memory.buffer, logs, count * BLOCK);
    const wasm = this.#program;
    this.#frames = (i) => {
      wasm.cut(samples + i * hop * NUMBER, hop * NUMBER, cut, row);
      if (emphasis !== undefined) wasm.emphasise(row, frameLength, emphasis);
      wasm.weigh(row, windowAt, cut);
      for (const { run, from, to, m, s, turns } of passes) run(from, to, m, s, turns);
      wasm.powers(transformed, half, powers, realAt);
      wasm.logs(powers, rangesAt, weightsAt, count, floor, logs + i * NUMBER, BLOCK * NUMBER);
    };
  }

  /**
   * Writes the logarithms of `frames` frames into `target`, and returns the largest.
   * @param read fills an array with the samples from `start`; the first frame begins at sample 0
   * @throws OnnxLoraError `INPUT_INVALID` for samples or powers that are not finite
   */
  write(frames: number, read: (samples: Float32Array, start: number) => void, target: FilterBankTarget): number {
    const { hop } = this.#options;
    const { data, filterStep, frameStep } = target;
    let peak = -Infinity;
    for (let from = 0; from < frames; from += BLOCK) {
      read(this.#samples, from * hop);
      const here = Math.min(BLOCK, frames - from);
      for (let i = 0; i < here; i += 4) this.#frames(i);
      for (let filter = 0; filter < this.count; filter++) {
        let at = filter * filterStep + from * frameStep;
        for (let i = filter * BLOCK, end = i + here; i < end; i++, at += frameStep) {
          const log = this.#logs[i]!;
          data[at] = log;
          peak = Math.max(peak, log);
        }
      }
    }
    if (!Number.isNaN(peak)) return peak;
    throw notFinite();
  }
}

/** The error for samples that are not finite. */
export function notFinite(): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    'Samples of sound must be finite numbers, from -1 to 1, but some are not. Check how the recording was made.',
  );
}

/** Filters in sparse form: byte offset of the first bin and number of bins, by filter. */
function sparse(filters: Float64Array, count: number): { ranges: Int32Array; weights: Float32Array } {
  const bins = filters.length / count;
  const ranges: number[] = [];
  const weights: number[] = [];
  for (let filter = 0; filter < count; filter++) {
    const column = Array.from({ length: bins }, (_, bin) => filters[bin * count + filter]!);
    const first = Math.max(
      0,
      column.findIndex((weight) => weight !== 0),
    );
    const end = column.findLastIndex((weight) => weight !== 0) + 1;
    ranges.push(first * VECTOR, Math.max(0, end - first));
    for (let bin = first; bin < end; bin++) weights.push(column[bin]!);
  }
  return { ranges: Int32Array.from(ranges), weights: Float32Array.from(weights) };
}
