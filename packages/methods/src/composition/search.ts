/** @file Minimises a function without gradients: the (1+1)-Cholesky-CMA-ES. */

import type { Random } from '@onnx-lora/sdk/data';

/** Options of {@link search}: numbers stay in [−bound, bound]; `evaluations` includes the start. */
export interface SearchOptions {
  readonly start: readonly number[];
  readonly bound: number;
  readonly step: number;
  readonly evaluations: number;
  readonly random: Random;
}

export interface Found {
  readonly numbers: readonly number[];
  readonly loss: number;
}

const TARGET = 2 / 11;
const FOLLOWED = 1 / 12;
const EASY = 0.44;

/**
 * Random steps from the best numbers so far: an improvement is kept and makes steps like it likelier. NaN is worse than
 * any loss.
 *
 * Igel, Suttorp and Hansen, "A Computational Efficient Covariance Matrix Update and a (1+1)-CMA for Evolution
 * Strategies" (GECCO 2006), doi 10.1145/1143997.1144082: the update of the Cholesky factor, without an evolution path,
 * and its constants.
 */
export async function search(
  loss: (numbers: readonly number[]) => Promise<number>,
  { start, bound, step, evaluations, random }: SearchOptions,
): Promise<Found> {
  const n = start.length;
  // Steps are σ·A·z; A·Aᵀ is the covariance.
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
