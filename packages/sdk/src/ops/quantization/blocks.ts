/** @file Matrices in four bits, in blocks along the inputs of each output, as ONNX Runtime's products with such weights read them. */

import { bnb4Numbers } from '../expand/quantized/matMulBnb4.ts';

/** A matrix `[out, width]`, row by row. */
export interface Rows {
  readonly values: Float32Array;
  readonly out: number;
  readonly width: number;
}

/** A matrix in four bits. */
export interface BlockCodes {
  /** Two codes a byte. */
  readonly codes: Uint8Array;
  /** One a block. */
  readonly scales: Float32Array;
  /** Zero points, two a byte, rows padded to whole bytes; where the form has them. */
  readonly zeros?: Uint8Array;
  /** What the codes stand for, `[out, width]`. */
  readonly restored: Float32Array;
}

/** Highest code of four bits. */
const TOP = 15;
/** Shares of the range that steps are tried for: a narrower range cuts off the outermost numbers, and rounds all others less. */
const SHARES = [1, 0.95, 0.9, 0.85, 0.8, 0.75];

/**
 * `(code − zero) · scale` in the layout of `com.microsoft.MatMulNBits`: rows of whole blocks, the lower half of a byte first.
 * Of each block, those of a few steps and zero points are taken that bring it nearest, by the sum of squares.
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
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
        // Codes behind the last of a row mean 0.
        const code = from + i < to ? nearestCode(values[from + i]!, inverse, zero) : zero;
        codes[(start + i) >> 1]! |= code << (4 * ((start + i) & 1));
        if (from + i < to) restored[from + i] = (code - zero) * scale;
      }
    }
  }
  return { codes, scales, zeros, restored };
}

/** The code nearest to `value ÷ scale + zero`. What is below 0 is cut off all the same, so that whole parts will do. */
function nearestCode(value: number, inverse: number, zero: number): number {
  const code = (value * inverse + zero + 0.5) | 0;
  return code < 0 ? 0 : code > TOP ? TOP : code;
}

/** The step and the zero point by which the numbers from `from` to `to − 1` are rounded least. */
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
    // Numbers next to the smallest there are have no step.
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
/** Between two neighbours; what lies on it goes to the upper one. */
const bounds = normalFloats.slice(1).map((upper, i) => (upper + normalFloats[i]!) / 2);

/**
 * NF4 of bitsandbytes in the layout of `com.microsoft.MatMulBnb4`: each block, counted through all rows, divided by its largest
 * magnitude, and of that the nearest of 16 numbers; the higher half of a byte first.
 *
 * @see https://arxiv.org/abs/2305.14314
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

/** The code of 0. */
const ZERO_CODE = normalFloats.indexOf(0);

/** The code of the nearest number, found by halves. */
function normalFloatCode(value: number): number {
  let code = 0;
  for (let step = 8; step > 0; step >>= 1) if (value >= bounds[code + step - 1]!) code += step;
  return code;
}
