/** @file Splits singular components into an adapter's two factors. */

import { scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import type { SingularValues } from '../../linalg/decompositions.ts';
import type { InitialFactors } from './initializer.ts';

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
