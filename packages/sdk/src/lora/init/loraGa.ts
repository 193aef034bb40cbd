/** @file LoRA-GA: the first step of the adapter goes where a step of the whole weight would go. */

import { scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import { type GradientInitializer, refuseRankAbove } from './initializer.ts';

/** Options of {@link loraGa}. */
export interface LoraGaOptions {
  /** B is multiplied with ⁴√out / √gamma; 16 by default. */
  readonly gamma?: number;
}

/**
 * Of the gradient's singular components, A gets the first r right vectors and B the next r left ones, these times their
 * singular values and ⁴√out / √gamma, as PEFT has it.
 *
 * @see https://arxiv.org/abs/2407.05000
 */
export function loraGa({ gamma = 16 }: LoraGaOptions = {}): GradientInitializer {
  return {
    name: 'lora_ga',
    needs: 'gradient',
    refuses: (site) => refuseRankAbove(site, 2 * site.r),
    init: ({ r, out, width }, gradient, random) => {
      const projection = Math.min(4 * r, out, width);
      const { U, S, V } = randomSvd(gradient, { rank: 2 * r, width: projection, iterations: 4, random });
      const length = out ** 0.25 / Math.sqrt(gamma);
      return {
        A: transpose(sliceColumns(V, 0, r)),
        B: scaleColumns(
          sliceColumns(U, r, 2 * r),
          S.subarray(r, 2 * r).map((value) => length * value),
        ),
        residual: 'subtract',
      };
    },
  };
}
