/** @file LoftQ for a quantised base: the adapter starts with the quantisation error. */

import { leadingSvd } from '../../linalg/leadingSvd.ts';
import type { SingularValues } from '../../linalg/decompositions.ts';
import { addScaled, type Matrix, matrix } from '../../linalg/matrix.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import type { Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { kindOf } from '../kinds/table.ts';
import { defaultA } from './fromRandom.ts';
import type { WeightInitializer } from './initializer.ts';
import { splitComponents } from './fromWeight.ts';
import { weightMatrix } from './weightMatrix.ts';

/**
 * The first r singular components of original − base, divided by the scaling, so that base + scaling · B·A is closest
 * to the original weight. PEFT omits the scaling, which is only right for alpha = r, where both agree.
 * @see https://arxiv.org/abs/2310.08659 (one round of algorithm 1, with the given base)
 */
export function loftq(original: readonly Site[]): WeightInitializer {
  const byPath = new Map(original.map((site) => [site.path, site]));
  return {
    name: 'loftq',
    needs: 'weight',
    refuses: ({ path, out, width, groups }) => {
      const before = byPath.get(path);
      if (!before) return 'is not in the model before quantising';
      if (groups > 1) return 'is a grouped convolution, whose weight is no matrix of outputs and inputs';
      const own = kindOf(before).matrix(before);
      return own.out === out && own.width === width
        ? undefined
        : `has a weight [${out}, ${width}], but [${own.out}, ${own.width}] before quantising`;
    },
    init: ({ path, out, width, r, scaling }, weight, random) => {
      const lost = addScaled(weightMatrix(byPath.get(path)!), weight, -1);
      if (lost.data.every((value) => value === 0)) return { A: defaultA(r, width, random), B: matrix(out, r) };
      return splitComponents(lostComponents(lost, r, random), 0, r, scaling);
    },
  };
}

/** Up to this size, the exact SVD is computed. */
const SMALL = 128;

/** First components of a quantisation error; for a large one, a random projection's are as good. */
export function lostComponents(lost: Matrix, rank: number, random: Random): SingularValues {
  if (Math.min(lost.rows, lost.columns) <= SMALL) return leadingSvd(lost, rank, random);
  return randomSvd(lost, { rank, width: 2 * rank, iterations: 2, random });
}
