/** @file Pillow's resampling filters and their weights. */

/** Filters by Pillow's names; callers handle `nearest`, a filter without weights. */
export type Resample = 'nearest' | 'lanczos' | 'bilinear' | 'bicubic' | 'box' | 'hamming';

/** Filters by Pillow's numbers (`PIL.Image.Resampling`), as in `preprocessor_config.json`. */
export const resampleByNumber: readonly Resample[] = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];

interface Filter {
  /** Half the filter's width, in input pixels when enlarging. */
  readonly support: number;
  weight(x: number): number;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

// Keys' cubic convolution (1981) with a = -1/2 as in Pillow; OpenCV and torch use -3/4.
const a = -0.5;

const filters: { readonly [name in Exclude<Resample, 'nearest'>]: Filter } = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x))),
  },
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Fractional bits of a weight: 32 less 8 for the pixel and 2 for overshooting. */
const precisionBits = 22;

/** Input pixels and weights of each output pixel along one axis. */
export interface ResampleWeights<Weights extends Int32Array | Float64Array = Int32Array> {
  /** Reserved weights per output pixel. */
  readonly stride: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `[output, stride]`; each row sums to 1. */
  readonly weights: Weights;
}

/** Weights along one axis. Shrinking widens the filter (antialiasing); weights are renormalised at the borders. */
export function filterWeights(
  inputSize: number,
  outputSize: number,
  name: Exclude<Resample, 'nearest'>,
): ResampleWeights<Float64Array> {
  const filter = filters[name];
  const scale = inputSize / outputSize;
  const widening = Math.max(scale, 1);
  const support = filter.support * widening;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputSize);
  const count = new Int32Array(outputSize);
  const weights = new Float64Array(outputSize * stride);
  // Multiplying by the reciprocal differs from division in the last bit, which could change a rounded weight.
  const narrowing = 1 / widening;
  for (let out = 0; out < outputSize; out++) {
    const center = (out + 0.5) * scale;
    const from = Math.max(0, Math.trunc(center - support + 0.5));
    const until = Math.min(inputSize, Math.trunc(center + support + 0.5));
    const start = out * stride - from;
    let sum = 0;
    for (let i = from; i < until; i++) {
      const weight = filter.weight((i - center + 0.5) * narrowing);
      weights[start + i] = weight;
      sum += weight;
    }
    first[out] = from;
    count[out] = until - from;
    if (sum !== 0) for (let i = from; i < until; i++) weights[start + i] = weights[start + i]! / sum;
  }
  return { stride, first, count, weights };
}

/** {@link filterWeights} in fixed point with {@link precisionBits} fractional bits. */
export function resampleWeights(
  inputSize: number,
  outputSize: number,
  name: Exclude<Resample, 'nearest'>,
): ResampleWeights {
  const { weights: exact, ...rest } = filterWeights(inputSize, outputSize, name);
  const weights = new Int32Array(exact.length);
  for (let i = 0; i < exact.length; i++) {
    const weight = exact[i]! * 2 ** precisionBits;
    weights[i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
  }
  return { ...rest, weights };
}
