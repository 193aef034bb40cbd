/** @file Initialisers from the weight alone (PiSSA, OLoRA, MiCA), and the split of singular components they share. */

import type { SingularValues } from '../../linalg/decompositions.ts';
import { leadingSvd } from '../../linalg/leadingSvd.ts';
import { matrix, scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import { qr } from '../../linalg/qr.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import { trailingSvd } from '../../linalg/trailingSvd.ts';
import { type InitialFactors, refuseRankAbove, type WeightInitializer } from './initializer.ts';

/** PiSSA: the adapter takes over the weight's r largest singular components. @see https://arxiv.org/abs/2404.02948 */
export const pissa: WeightInitializer = {
  name: 'pissa',
  needs: 'weight',
  refuses: (site) => refuseRankAbove(site, site.r),
  init: ({ r, scaling }, weight, random) => ({
    ...splitComponents(leadingSvd(weight, r, random), 0, r, scaling),
    residual: 'subtract',
  }),
};

/** PiSSA by randomised SVD with this number of subspace iterations: nearly as accurate, and much faster. */
export function fastPissa(iterations: number): WeightInitializer {
  return {
    ...pissa,
    name: `pissa_niter_${iterations}`,
    init: ({ r, scaling }, weight, random) => {
      const components = randomSvd(weight, { rank: r, iterations, random });
      return { ...splitComponents(components, 0, r, scaling), residual: 'subtract' };
    },
  };
}

/** OLoRA: W = Q·R; B is the first r columns of Q, A the first r rows of R. @see https://arxiv.org/abs/2406.01775 */
export const olora: WeightInitializer = {
  name: 'olora',
  needs: 'weight',
  refuses: (site) => refuseRankAbove(site, site.r),
  init: ({ r }, weight) => {
    const { Q, R } = qr(weight, r);
    return { A: R, B: Q, residual: 'subtract' };
  },
};

/** MiCA: B is the r left singular vectors of the smallest components, frozen; A starts at zero. */
export const mica: WeightInitializer = {
  name: 'mica',
  needs: 'weight',
  saved: { initLoraWeights: 'mica' },
  fixed: ['lora_B'],
  refuses: (site) => refuseRankAbove(site, site.r),
  init: ({ r, width }, weight, random) => ({ A: matrix(r, width), B: trailingSvd(weight, r, random).U }),
};

/** B = U·√(S/s), A = √(S/s)·Vᵀ for components `from` to `to − 1`, so that s·B·A is their part of the matrix. */
export function splitComponents(
  { U, S, V }: SingularValues,
  from: number,
  to: number,
  scaling: number,
): Pick<InitialFactors, 'A' | 'B'> {
  const roots = S.subarray(from, to).map((value) => Math.sqrt(value / scaling));
  return {
    A: transpose(scaleColumns(sliceColumns(V, from, to), roots)),
    B: scaleColumns(sliceColumns(U, from, to), roots),
  };
}
