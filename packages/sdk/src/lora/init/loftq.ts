/** @file LoftQ for a base that is quantised already: the adapter starts with what quantising has lost. */

import { leadingSvd } from '../../linalg/leadingSvd.ts';
import type { SingularValues } from '../../linalg/decompositions.ts';
import { addScaled, type Matrix, matrix } from '../../linalg/matrix.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import type { Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { kindOf } from '../kinds/table.ts';
import { defaultA } from './fromRandom.ts';
import type { WeightInitializer } from './initializer.ts';
import { splitComponents } from './split.ts';
import { weightMatrix } from './weightMatrix.ts';

/**
 * The factors that bring base + scaling · B·A nearest to the weight before quantising: the first r singular components of
 * the difference. A layer that lost nothing starts as by default. PEFT leaves the scaling out, so that its result is right
 * where alpha = r only; there both are the same.
 *
 * @param original the layers of the model before it was quantised
 * @see https://arxiv.org/abs/2310.08659 (one round of algorithm 1, whose base is the given one)
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

/** Where no more than so many components there are, all are computed. */
const SMALL = 128;

/**
 * The first components of what rounding has lost. Of large weights it has many of about one size: those that a random projection
 * finds are as good as the first, and take a tenth of the time or less.
 */
export function lostComponents(lost: Matrix, rank: number, random: Random): SingularValues {
  if (Math.min(lost.rows, lost.columns) <= SMALL) return leadingSvd(lost, rank, random);
  return randomSvd(lost, { rank, width: 2 * rank, iterations: 2, random });
}
