/** @file Blockwise 4-bit quantization along the inputs of each output, in the layouts of ONNX Runtime's operators. */

import { bnb4Numbers } from '../expand/quantized/blockwise.ts';

/** A row-major matrix `[out, width]`. */
export interface Rows {
  readonly values: Float32Array;
  readonly out: number;
  readonly width: number;
}

/** A matrix in 4 bits. */
export interface BlockCodes {
  /** Two codes per byte. */
  readonly codes: Uint8Array;
  /** One per block. */
  readonly scales: Float32Array;
  /** Zero points of integer blocks, two per byte, rows padded to whole bytes. */
  readonly zeros?: Uint8Array;
  /** The dequantized matrix `[out, width]`. */
  readonly restored: Float32Array;
}

const TOP = 15;
/** Fractions of the range tried for the scale: a narrower range clips outliers, and rounds all others less. */
const SHARES = [1, 0.95, 0.9, 0.85, 0.8, 0.75];

/**
 * `(code − zero) · scale` in the layout of `com.microsoft.MatMulNBits`: rows of whole blocks, low nibble first. Per
 * block, the scale and zero point with the least squared error of a few candidates.
 */
export function integerBlocks({ values, out, width }: Rows, size: number): Required<BlockCodes> {
  const blocks = Math.ceil(width / size);
  const codes = new Uint8Array((out * blocks * size) / 2);
  const scales = new Float32Array(out * blocks);
  const zeroBytes = Math.ceil(blocks / 2);
  const zeros = new Uint8Array(out * zeroBytes);
  const restored = new Float32Array(values.length);
  for (let row = 0; row < out; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * width + block * size;
      const to = Math.min(from + size, (row + 1) * width);
      const { scale, zero } = nearestSteps(values, from, to);
      scales[row * blocks + block] = scale;
      zeros[row * zeroBytes + (block >> 1)]! |= zero << (4 * (block & 1));
      const start = (row * blocks + block) * size;
      const inverse = 1 / scale;
      for (let i = 0; i < size; i++) {
        // Padding codes mean 0.
        const code = from + i < to ? nearestCode(values[from + i]!, inverse, zero) : zero;
        codes[(start + i) >> 1]! |= code << (4 * ((start + i) & 1));
        if (from + i < to) restored[from + i] = (code - zero) * scale;
      }
    }
  }
  return { codes, scales, zeros, restored };
}

/** The code nearest to `value ÷ scale + zero`. Negative results are clipped, so truncation suffices. */
function nearestCode(value: number, inverse: number, zero: number): number {
  const code = (value * inverse + zero + 0.5) | 0;
  return code < 0 ? 0 : code > TOP ? TOP : code;
}

/** The scale and zero point with the least error on the elements `[from, to)`. */
function nearestSteps(values: Float32Array, from: number, to: number): { scale: number; zero: number } {
  let [low, high] = [0, 0];
  for (let i = from; i < to; i++) {
    const value = values[i]!;
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  let best = { scale: 1, zero: 8 };
  let least = Infinity;
  const middle = (low + high) / 2;
  for (const share of low === high ? [] : SHARES) {
    const scale = Math.fround((share * (high - low)) / TOP);
    // Scales of subnormal numbers may be zero.
    if (scale === 0) continue;
    const inverse = 1 / scale;
    const centred = Math.round(TOP / 2 - middle / scale);
    for (let zero = Math.max(0, centred - 1); zero <= Math.min(TOP, centred + 1); zero++) {
      let error = 0;
      for (let i = from; i < to && error < least; i++) {
        const value = values[i]!;
        const off = (nearestCode(value, inverse, zero) - zero) * scale - value;
        error += off * off;
      }
      if (error < least) [least, best] = [error, { scale, zero }];
    }
  }
  return best;
}

const normalFloats = bnb4Numbers(1)!;
/** Midpoints of neighbors; a midpoint goes to the upper one. */
const bounds = normalFloats.slice(1).map((upper, i) => (upper + normalFloats[i]!) / 2);

/**
 * NF4 (https://arxiv.org/abs/2305.14314) in the layout of `com.microsoft.MatMulBnb4`: blocks run across rows, are
 * divided by their largest magnitude and rounded to the nearest of 16 numbers; high nibble first.
 */
export function normalFloatBlocks({ values }: Rows, size: number): BlockCodes {
  const codes = new Uint8Array(Math.ceil(values.length / 2));
  const scales = new Float32Array(Math.ceil(values.length / size));
  const restored = new Float32Array(values.length);
  for (let block = 0; block < scales.length; block++) {
    const [from, to] = [block * size, Math.min((block + 1) * size, values.length)];
    let largest = 0;
    for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(values[i]!));
    scales[block] = largest;
    for (let i = from; i < to; i++) {
      const code = largest === 0 ? ZERO_CODE : normalFloatCode(values[i]! / largest);
      codes[i >> 1]! |= code << (4 * (1 - (i & 1)));
      restored[i] = normalFloats[code]! * largest;
    }
  }
  return { codes, scales, restored };
}

const ZERO_CODE = normalFloats.indexOf(0);

/** The nearest code, by binary search. */
function normalFloatCode(value: number): number {
  let code = 0;
  for (let step = 8; step > 0; step >>= 1) if (value >= bounds[code + step - 1]!) code += step;
  return code;
}
