/** @file Muon: orthogonalised momentum steps. */

import {
  type Matrix,
  matmul,
  matrix,
  type Optimizer,
  type OptimizerFactory,
  optimizerTools,
  transpose,
} from '@onnx-lora/sdk/plugin';
import { sizeOf } from '../tuners/tensors.ts';
import { gramOf } from './pairs.ts';

const { fraction, fractions, notNegative, oneOf, settingsOf, zeros } = optimizerTools;

interface MuonSettings {
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly adjustLr: 'original' | 'match_rms_adamw';
  readonly nsSteps: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
}

/** Newton–Schulz coefficients with maximal slope at zero; singular values end between 0.7 and 1.2. */
const COEFFICIENTS = [3.4445, -4.775, 2.0315] as const;

/**
 * Muon. For parameters of two or more dimensions (kernels as `[out, rest]` matrices), the step is the gradient's
 * momentum, made nearly orthogonal by five iterations. One-dimensional parameters move by AdamW at the same rate. A
 * matrix of rank r moves by about lr·√r, so rates are higher than AdamW's.
 *
 * Settings: `momentum` (0.95), `nesterov` (true), `weightDecay` (0.1), `adjustLr`: `original` multiplies the rate by
 * √(rows ÷ columns) where that is above 1, `match_rms_adamw` by 0.2·√(the larger), for AdamW's rates; `nsSteps` (5);
 * `betas` (0.9, 0.999) and `eps` (1e-8) of AdamW.
 * @see https://kellerjordan.github.io/posts/muon and torch.optim.Muon, which iterates in bfloat16
 */
export const muon: OptimizerFactory = {
  name: 'muon',
  create: (given): Optimizer<'momentum_buffer' | 'exp_avg' | 'exp_avg_sq'> => {
    const settings = settingsOf<MuonSettings>('muon', given, {
      momentum: fraction(0.95),
      nesterov: oneOf(true, false),
      weightDecay: notNegative(0.1),
      adjustLr: oneOf('original', 'match_rms_adamw'),
      nsSteps: { default: 5, is: (n) => Number.isInteger(n) && Number(n) > 0 && Number(n) < 100, range: 'a whole number from 1 to 99' }, // prettier-ignore
      betas: fractions(0.9, 0.999),
      eps: notNegative(1e-8),
    });
    const { momentum, nesterov, betas: [beta1, beta2], eps } = settings; // prettier-ignore
    return {
      name: 'muon',
      weightDecay: settings.weightDecay,
      init: (dims) => {
        const [matrices, vectors] = dims.length > 1 ? [dims, [0]] : [[0], dims];
        return { momentum_buffer: zeros(matrices), exp_avg: zeros(vectors), exp_avg_sq: zeros(vectors) };
      },
      *update(value, gradient, { step, arrays }, { lr, weightDecay, dims, torchDims = dims }) {
        const keep = 1 - lr * weightDecay;
        if (dims.length < 2) {
          const { exp_avg: first, exp_avg_sq: second } = arrays;
          const [size, root] = [lr / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step)];
          for (let i = 0; i < value.length; i++) {
            const g = gradient[i]!;
            const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g);
            const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
            value[i] = keep * value[i]! - (size * m) / (Math.sqrt(v) / root + eps);
          }
          yield;
          return;
        }
        const buffer = arrays.momentum_buffer;
        const moved = matrix(dims[0]!, sizeOf(dims.slice(1)));
        for (let i = 0; i < value.length; i++) {
          const g = gradient[i]!;
          const b = (buffer[i] = momentum * buffer[i]! + (1 - momentum) * g);
          moved.data[i] = nesterov ? (1 - momentum) * g + momentum * b : b;
        }
        const { data } = yield* orthogonal(moved, settings.nsSteps);
        const rate = lr * rateFactor(settings, torchDims);
        for (let i = 0; i < value.length; i++) value[i] = keep * value[i]! - rate * data[i]!;
      },
    };
  },
};

/** Uses torch's first two dimensions, also for kernels. */
function rateFactor({ adjustLr }: MuonSettings, [rows, ...columns]: readonly number[]): number {
  const width = sizeOf(columns);
  return adjustLr === 'original' ? Math.sqrt(Math.max(1, rows! / width)) : 0.2 * Math.sqrt(Math.max(rows!, width));
}

/** Nearly U·Vᵀ of U·S·Vᵀ, by quintic iterations on the shorter side. */
function* orthogonal(given: Matrix, steps: number): Generator<void, Matrix> {
  const [a, b, c] = COEFFICIENTS;
  const isWide = given.columns > given.rows;
  let x = isWide ? transpose(given) : given;
  let norm = 0;
  for (const each of x.data) norm += each * each;
  const scale = 1 / Math.max(Math.sqrt(norm), 1e-7);
  for (let i = 0; i < x.data.length; i++) x.data[i]! *= scale;
  const n = x.columns;
  for (let step = 0; step < steps; step++) {
    const gram = gramOf(x);
    yield;
    const update = matmul(gram, gram);
    for (let i = 0; i < update.data.length; i++) update.data[i] = b * gram.data[i]! + c * update.data[i]!;
    for (let i = 0; i < n; i++) update.data[i * n + i]! += a;
    yield;
    x = times(x, update);
    yield;
  }
  return isWide ? transpose(x) : x;
}

/** X·U for a tall X and a symmetric U: dot products of rows. */
function times({ rows, columns, data }: Matrix, { data: square }: Matrix): Matrix {
  const result = matrix(rows, columns);
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    for (let i = 0; i < columns; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += data[at + j]! * square[i * columns + j]!;
      result.data[at + i] = sum;
    }
  }
  return result;
}
