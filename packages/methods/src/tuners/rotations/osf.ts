/** @file OSF: trains the small singular components of a weight, kept orthogonal to the large ones. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  compilePattern,
  type Matrix,
  matmul,
  matrix,
  scaleColumns,
  type SingularValues,
  sliceColumns,
  svd,
  symmetricEigen,
  transpose,
  type TargetLayer,
  type TensorSpec,
  type Tuner,
  type TunerSettings,
} from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { transposed } from './rotation.ts';
import { normal, zeros } from '../tensors.ts';

export const osf: Tuner = {
  name: 'osf',
  peftType: 'OSF',
  paper: 'https://openreview.net/forum?id=vQcyqsGJDw',
  description:
    'OSF: trains the small singular values of a weight and their vectors, orthogonal to those of the large ones: about as many numbers as the weight has',
  // PEFT ignores `target_svd_config`.
  defaults: { effective_rank: null, rank_pattern: null, init_weights: true, target_svd_config: null },
  tune: (layer, settings) => {
    const { in: width, out: height } = layer;
    const kept = keptRank(layer, settings);
    const low = Math.min(height, width) - kept;
    let found: SingularValues | undefined;
    const parts = (): SingularValues => (found ??= singularValues(matrix(height, width, layer.weight())));
    const columns = (which: 'U' | 'V', isLow: boolean): Matrix =>
      sliceColumns(parts()[which], isLow ? kept : 0, isLow ? kept + low : kept);
    const numbers = {
      U: () => Float32Array.from(columns('U', true).data),
      S: () => Float32Array.from(parts().S.subarray(kept)),
      V: () => Float32Array.from(transpose(columns('V', true)).data),
    };
    const shapes = { U: [height, low], S: [low], V: [low, width] } as const;
    const trained = (name: keyof typeof shapes): TensorSpec => ({
      ...(settings['init_weights'] === false
        ? normal(shapes[name], 1)
        : { ...zeros(shapes[name]), init: numbers[name] }),
      ownGradient: name !== 'S',
    });
    const begun = (name: keyof typeof shapes): TensorSpec => ({
      ...zeros(shapes[name]),
      role: 'seeded',
      init: numbers[name],
    });
    /** Removes the large values' span from the gradient. */
    const projected = (g: GraphBuilder, own: Value, which: 'U' | 'V'): Value => {
      const vectors = columns(which, false);
      const high = g.constant({ type: 'float32', dims: [vectors.rows, kept], data: Float32Array.from(vectors.data) });
      const inside = which === 'U' ? g.MatMul(high, g.MatMul(transposed(g, high), own)) : g.MatMul(g.MatMul(own, high), transposed(g, high)); // prettier-ignore
      return g.Add(g.Sub(own, inside), g.stopGradient(inside));
    };
    return {
      tensors: {
        'osf_svd_params.U_low': trained('U'),
        'osf_svd_params.S_low': trained('S'),
        'osf_svd_params.V_low': trained('V'),
        _osf_U_low_init: begun('U'),
        _osf_S_low_init: begun('S'),
        _osf_V_low_init: begun('V'),
      },
      // The original components are not in a merged weight, so it cannot be unmerged.
      readsWeight: true,
      factors: (g, t) => {
        const [U, V] = [projected(g, t['osf_svd_params.U_low']!, 'U'), projected(g, t['osf_svd_params.V_low']!, 'V')];
        const left = g.Mul(U, t['osf_svd_params.S_low']!);
        const begun = g.Mul(t['_osf_U_low_init']!, t['_osf_S_low_init']!);
        return { A: g.Concat([V, t['_osf_V_low_init']!], 0), B: g.Concat([left, g.Neg(begun)], 1) };
      },
    };
  },
};

/** Number of frozen singular values: absolute, a share, or half of all. */
function keptRank(
  { path, weightShape }: TargetLayer,
  { effective_rank: rank, rank_pattern: pattern }: TunerSettings,
): number {
  const all = Math.min(...weightShape);
  const own = Object.entries((pattern ?? {}) as Record<string, number>).find(([each]) => isFound(each, path));
  const asked = (own ? own[1] : rank) as number | null;
  const kept = asked === null ? all >> 1 : Math.trunc(asked > 0 && asked < 1 ? asked * all : asked);
  if (kept >= 1 && kept < all) return kept;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The tuner "osf" keeps ${kept} of the ${all} singular values of "${path}" (effective_rank, rank_pattern), which leaves none to keep or none to train. Give from 1 to ${all - 1}, or a part between 0 and 1.`,
  );
}

/** Matches anywhere in a path, as Python's `re.search`. */
function isFound(source: string, path: string): boolean {
  const pattern = compilePattern(source, 'rank_pattern');
  return Array.from(path).some((_, start) => pattern.ends(path, start).length > 0);
}

const SMALL = 128;

/** Below this ratio to the largest value, vectors would not be orthogonal. */
const LEAST = 1e-5;

/** Thin SVD; large well-conditioned matrices by the eigenvectors of AᵀA. @throws RangeError for NaN or ∞ */
function singularValues(a: Matrix): SingularValues {
  if (Math.min(a.rows, a.columns) <= SMALL) return svd(a);
  if (a.rows < a.columns) {
    const { U, S, V } = singularValues(transpose(a));
    return { U: V, S, V: U };
  }
  const { values, V } = symmetricEigen(matmul(a, a, { transposeA: true }));
  const S = Float64Array.from(values, (each) => Math.sqrt(Math.max(each, 0))).reverse();
  if (!(S.at(-1)! > LEAST * S[0]!)) return svd(a);
  const count = a.columns;
  const descending = { ...V, data: V.data.map((_, i) => V.data[i - (i % count) + count - 1 - (i % count)]!) };
  return {
    U: scaleColumns(
      matmul(a, descending),
      S.map((each) => 1 / each),
    ),
    S,
    V: descending,
  };
}
