/** @file Looks for the numbers of least loss without gradients: the (1+1)-Cholesky-CMA-ES. */

import type { Random } from '@onnx-lora/sdk/data';

/** Where {@link search} looks, and for how long. */
export interface SearchOptions {
  /** The first numbers that are tried. */
  readonly start: readonly number[];
  /** All numbers stay in [−bound, bound]. */
  readonly bound: number;
  /** The deviation of the first steps. */
  readonly step: number;
  /** How often the loss is asked for, the start included. */
  readonly evaluations: number;
  /** The same state finds the same numbers. */
  readonly random: Random;
}

/** What {@link search} has found. */
export interface Found {
  /** The best numbers that were tried. */
  readonly numbers: readonly number[];
  /** Their loss. */
  readonly loss: number;
}

/** The rate of success that steps are made longer above, and shorter below. */
const TARGET = 2 / 11;
/** How fast the rate of success is followed. */
const FOLLOWED = 1 / 12;
/** With more success than this steps are too short to tell directions. */
const EASY = 0.44;

/**
 * From the best numbers so far a random step; a better place is kept, and steps like the one that led there become likelier. A
 * loss that is no number is worse than any.
 *
 * Igel, Suttorp and Hansen, "A Computational Efficient Covariance Matrix Update and a (1+1)-CMA for Evolution Strategies"
 * (GECCO 2006), doi 10.1145/1143997.1144082: the update of the Cholesky factor, without an evolution path, and its constants.
 */
export async function search(
  loss: (numbers: readonly number[]) => Promise<number>,
  { start, bound, step, evaluations, random }: SearchOptions,
): Promise<Found> {
  const n = start.length;
  // Steps are σ·A·z, of which A·Aᵀ is the covariance.
  let A = start.map((_, i) => start.map((_each, j) => Number(i === j)));
  let [deviation, success] = [step, TARGET];
  let found: Found = { numbers: start, loss: await loss(start) };
  for (let count = 1; count < evaluations; count++) {
    const z = start.map(() => random.normal());
    const way = A.map((row) => row.reduce((sum, each, j) => sum + each * z[j]!, 0));
    const numbers = found.numbers.map((each, i) => Math.min(bound, Math.max(-bound, each + deviation * way[i]!)));
    const own = await loss(numbers);
    const isBetter = own <= found.loss;
    success += FOLLOWED * (Number(isBetter) - success);
    deviation *= Math.exp((success - TARGET) / ((1 - TARGET) * (1 + n / 2)));
    if (!isBetter) continue;
    found = { numbers, loss: own };
    if (success >= EASY) continue;
    // A·Aᵀ becomes kept · A·Aᵀ + (1 − kept) · (A·z)·(A·z)ᵀ.
    const kept = 1 - 2 / (n ** 2 + 6);
    const square = z.reduce((sum, each) => sum + each ** 2, 0);
    const grown = (Math.sqrt(kept) / square) * (Math.sqrt(1 + ((1 - kept) * square) / kept) - 1);
    A = A.map((row, i) => row.map((each, j) => Math.sqrt(kept) * each + grown * way[i]! * z[j]!));
  }
  return found;
}
