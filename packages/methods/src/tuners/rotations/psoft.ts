/** @file PSOFT: rotates the principal part of a weight between its singular vectors. */

import { leadingSvd, matmul, matrix, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { cayley, identity, MOST_TERMS, neumann, skew } from './rotation.ts';
import { finite, oneOf, peftModules, trainsWith, whole, wrong } from '../settings.ts';
import { filled, normal, zeros } from '../tensors.ts';

interface Settings {
  readonly ab_svd_init: 'psoft_init' | 'pissa_init';
  readonly psoft_orth: boolean;
  readonly psoft_mag_a: boolean;
  readonly psoft_mag_b: boolean;
  readonly use_cayley_neumann: boolean;
  readonly num_cayley_neumann_terms: number;
  readonly cayley_neumann_eps: number | null;
  readonly init_weights: boolean;
}

const training = { psoft_dropout: 0 };
const [A, B] = ['_psoft_A_cache', '_psoft_B_cache'] as const;

export const psoft: Tuner = {
  name: 'psoft',
  peftType: 'PSOFT',
  paper: 'https://openreview.net/forum?id=FSHrinMArK',
  description:
    'PSOFT: rotates the principal part of a weight between its singular vectors, which are in the file too; PEFT makes them again, and reads right only files of its own',
  notInPeft: [A, B],
  defaults: {
    r: 32,
    psoft_alpha: 32,
    ...training,
    fan_in_fan_out: false,
    ab_svd_init: 'psoft_init',
    psoft_svd: 'full',
    psoft_svd_lowrank_niter: 10,
    random_seed: 0,
    psoft_orth: true,
    psoft_mag_b: true,
    psoft_mag_a: true,
    use_cayley_neumann: false,
    num_cayley_neumann_terms: 5,
    cayley_neumann_eps: null,
    init_weights: true,
    ...peftModules,
  },
  tune: (layer, settings) => {
    oneOf('psoft', settings, 'ab_svd_init', ['psoft_init', 'pissa_init']);
    const { ab_svd_init: init, ...own } = settings as unknown as Settings;
    const [r, alpha, terms] = [
      whole(settings, 'r'),
      finite(settings, 'psoft_alpha'),
      whole(settings, 'num_cayley_neumann_terms'),
    ];
    if (terms > MOST_TERMS) throw wrong(settings, 'num_cayley_neumann_terms', `at most ${MOST_TERMS}`);
    if (own.cayley_neumann_eps !== null) finite(settings, 'cayley_neumann_eps');
    const { in: width, out: height } = layer;
    if (r > Math.min(width, height)) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"r" of the tuner "psoft" is ${r}, and "${layer.path}" has ${Math.min(width, height)} singular values. Choose a smaller one, or leave the layer out (excludeModules).`,
      );
    }
    const scaling = alpha / r;
    const count = own.psoft_orth ? [(r * (r - 1)) / 2] : [r, r];
    const begun = own.init_weights ? zeros(count) : normal(count, 0.1);
    const diagonal = (numbers: Float32Array): Float32Array =>
      numbers.map((each, i) => each + Number(i % (r + 1) === 0));
    const weight: TensorSpec = own.psoft_orth
      ? begun
      : { ...begun, init: (random, of) => diagonal(begun.init(random, of) as Float32Array) };
    const magnitudes = (which: 'a' | 'b', isThere: boolean): Record<string, TensorSpec> =>
      isThere ? { [`psoft_R.vector_${which}`]: filled([r], 1) } : {};
    /** b ∘ R ∘ a − I, `[r, r]`. */
    const change = (g: GraphBuilder, tensors: Readonly<Record<string, Value>>): Value => {
      const { 'psoft_R.weight': free, 'psoft_R.vector_a': a, 'psoft_R.vector_b': b } = tensors;
      let R = own.psoft_orth ? rotation(g, free!, r, own) : free!;
      if (b) R = g.Mul(R, g.Reshape(b, [r, 1]));
      if (a) R = g.Mul(R, a);
      return g.Sub(R, identity(g, r));
    };
    /** B·(R − I), with all scaling: `[out, r]`. */
    const left = (g: GraphBuilder, tensors: Readonly<Record<string, Value>>): Value =>
      g.MatMul(g.Mul(tensors[B]!, scaling), change(g, tensors));
    const W = (): ReturnType<typeof matrix> => matrix(height, width, layer.weight());
    return {
      tensors: {
        [A]: {
          ...zeros([r, width]),
          role: 'frozen',
          init: (random) => {
            const { S, V } = leadingSvd(W(), r, random);
            const factor = (k: number): number => (init === 'psoft_init' ? 1 : Math.sqrt(S[k]! / scaling));
            return Float32Array.from({ length: r * width }, (_, i) => {
              const k = Math.floor(i / width);
              return factor(k) * V.data[(i % width) * r + k]!;
            });
          },
        },
        // W·v = σ·u, so B is W·Aᵀ with each column divided by the scaling and the squared norm of A's row.
        [B]: {
          ...zeros([height, r]),
          role: 'frozen',
          init: (_, numbersOf) => {
            const rows = matrix(r, width, numbersOf(A) as Float32Array);
            const squares = Float64Array.from({ length: r }, (_, k) => rows.data.subarray(k * width, (k + 1) * width).reduce((sum, each) => sum + each * each, 0)); // prettier-ignore
            return Float32Array.from(matmul(W(), rows, { transposeB: true }).data, (each, i) => each / (scaling * squares[i % r]!)); // prettier-ignore
          },
        },
        'psoft_R.weight': weight,
        ...magnitudes('b', own.psoft_mag_b),
        ...magnitudes('a', own.psoft_mag_a),
      },
      factors: (g, tensors) => ({ A: tensors[A]!, B: left(g, tensors) }),
    };
  },
  ...trainsWith('psoft', training),
};

function rotation(g: GraphBuilder, free: Value, r: number, settings: Omit<Settings, 'ab_svd_init'>): Value {
  const { use_cayley_neumann: isSeries, num_cayley_neumann_terms: terms, cayley_neumann_eps: eps } = settings;
  const Q = skew(g, g.Reshape(free, [1, (r * (r - 1)) / 2]), r);
  if (!isSeries) return g.Reshape(cayley(g, Q, r), [r, r]);
  if (eps === null) return g.Reshape(neumann(g, Q, r, terms), [r, r]);
  // Clipped to eps, where the series converges.
  const norm = g.Sqrt(g.Max(g.ReduceSumSquare(Q, [0, 1, 2], true), eps * eps));
  return g.Reshape(neumann(g, g.Mul(Q, g.Div(g.scalar(eps), norm)), r, terms), [r, r]);
}
