/** @file Options of `combineAdapters`, with their checks. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { Adapter } from '../adapter.ts';

/**
 * How adapters are combined. Δᵢ is adapter i's scaled change of a weight, wᵢ its weight. Pruned deltas have full rank and
 * are truncated. Names with `_svd` are PEFT's synonyms.
 * - `linear`, `cat`: Σ wᵢ·Δᵢ, exactly; ranks add up
 * - `svd`: truncated SVD of Σ wᵢ·Δᵢ
 * - `ties`: keep the largest entries of each Δᵢ, elect a sign per entry, average those that agree
 *   (https://arxiv.org/abs/2306.01708)
 * - `dare_linear`, `dare_ties`: keep random entries, rescaled to preserve the expectation, then sum, or elect and
 *   average (https://arxiv.org/abs/2311.03099)
 * - `magnitude_prune`: keep the largest entries of each Δᵢ, then sum
 * - `slerp`: the point on the arc between two adapters' Δ₁ and Δ₂
 */
export type CombineMethod =
  | 'linear'
  | 'cat'
  | 'svd'
  | 'ties'
  | 'ties_svd'
  | 'dare_linear'
  | 'dare_linear_svd'
  | 'dare_ties'
  | 'dare_ties_svd'
  | 'magnitude_prune'
  | 'magnitude_prune_svd'
  | 'slerp';

/** One of the adapters to combine. */
export interface CombinePart {
  /** The adapter. */
  readonly adapter: Adapter;
  /** 1 by default; negative to subtract. */
  readonly weight?: number;
  /** Name for errors; by default its number. */
  readonly name?: string;
}

/** Options of `combineAdapters`. */
export interface CombineOptions {
  /** How deltas are combined. */
  readonly method: CombineMethod;
  /**
   * Rank of the result, except for `linear` and `cat`; `full` is lossless. By default a layer's largest rank in any
   * adapter, for `slerp` the sum of both.
   */
  readonly rank?: number | 'full';
  /** The fraction of entries that pruning keeps, in (0, 1]. */
  readonly density?: number;
  /** The sign of an entry for `ties` and `dare_ties`: that of the sum (default), or of most adapters. */
  readonly majoritySign?: 'total' | 'frequency';
  /** Seed of the random methods; 0 by default. */
  readonly seed?: number;
  /**
   * `peft` reproduces PEFT 0.21: methods without `_svd` act on A and B separately, and the first config is copied,
   * which with rsLoRA scales by √r too much.
   */
  readonly compat?: 'peft';
}

// prettier-ignore
const requireKnown = knownOptions<CombineOptions>('combineAdapters', {
  method: true, rank: true, density: true, majoritySign: true, seed: true, compat: true,
});

/** Steps of a method. */
export interface Rule {
  readonly prune: 'none' | 'largest' | 'random';
  /** True if entries vote on their sign. */
  readonly elects: boolean;
  /** True if PEFT applies the method to A and B instead of the delta. */
  readonly onFactors: boolean;
  /** True if the result is exact, so the rank is fixed. */
  readonly exact: boolean;
}

const sum = { prune: 'none', elects: false, onFactors: false, exact: false } as const;
const ties = { ...sum, prune: 'largest', elects: true } as const;
const dareLinear = { ...sum, prune: 'random' } as const;
const dareTies = { ...sum, prune: 'random', elects: true } as const;
const magnitude = { ...sum, prune: 'largest' } as const;

const rules: Readonly<Record<CombineMethod, Rule>> = {
  linear: { ...sum, onFactors: true, exact: true },
  cat: { ...sum, exact: true },
  svd: sum,
  ties: { ...ties, onFactors: true },
  ties_svd: ties,
  dare_linear: { ...dareLinear, onFactors: true },
  dare_linear_svd: dareLinear,
  dare_ties: { ...dareTies, onFactors: true },
  dare_ties_svd: dareTies,
  magnitude_prune: { ...magnitude, onFactors: true },
  magnitude_prune_svd: magnitude,
  slerp: sum,
};

/** All methods. */
export const combineMethods: readonly CombineMethod[] = Object.keys(rules) as CombineMethod[];

/** The rule of a method. */
export function ruleOf(method: CombineMethod): Rule {
  return rules[method];
}

/** @throws OnnxLoraError `CONFIG_INVALID` for unknown, invalid or contradictory options, `INPUT_INVALID` without adapters */
export function checkOptions(parts: readonly CombinePart[], options: CombineOptions): void {
  requireKnown(options);
  const { method, rank, density, majoritySign, seed, compat } = options;
  if (!combineMethods.includes(method)) {
    throw wrong(
      `There is no method "${method}".${didYouMean(String(method), combineMethods)} Methods are ${combineMethods.join(', ')}.`,
    );
  }
  if (parts.length === 0)
    throw new OnnxLoraError('INPUT_INVALID', 'There is nothing to combine. Give at least one adapter.');
  parts.forEach(({ weight = 1, name }, i) => {
    if (!Number.isFinite(weight))
      throw wrong(`The weight of ${partName(name, i, parts.length)} is ${weight}. Give a finite number.`);
  });
  const { prune, elects, exact } = rules[method];
  if (rank !== undefined) checkRank(rank, method, exact);
  if (prune !== 'none' && density === undefined)
    throw wrong(`The method "${method}" needs a density: the fraction of entries to keep, such as 0.5.`);
  if (prune === 'none' && density !== undefined)
    throw wrong(`The method "${method}" prunes nothing. Leave density out, or choose ties, dare_* or magnitude_prune.`);
  if (density !== undefined && !(density > 0 && density <= 1))
    throw wrong(`The density is ${density}; it must be above 0 and at most 1.`);
  if (majoritySign !== undefined && !elects)
    throw wrong(`The method "${method}" elects no sign. Leave majoritySign out, or choose ties or dare_ties.`);
  if (majoritySign !== undefined && majoritySign !== 'total' && majoritySign !== 'frequency')
    throw wrong(`majoritySign is "${String(majoritySign)}"; it must be "total" or "frequency".`);
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0))
    throw wrong(`The seed is ${seed}; it must be a whole number of at least 0.`);
  if (compat !== undefined && compat !== 'peft')
    throw wrong(`compat is "${String(compat)}"; it must be "peft", or be left out.`);
  if (method === 'slerp') checkSlerp(parts, compat);
}

function checkRank(rank: number | 'full', method: CombineMethod, exact: boolean): void {
  if (exact) {
    throw wrong(
      `The method "${method}" is exact, so its rank is the sum of the ranks. Leave rank out, or choose "svd".`,
    );
  }
  if (rank !== 'full' && !(Number.isInteger(rank) && rank >= 1))
    throw wrong(`The rank is ${rank}; it must be a whole number of at least 1, or "full".`);
}

function checkSlerp(parts: readonly CombinePart[], compat: string | undefined): void {
  if (compat !== undefined) throw wrong('PEFT has no slerp. Leave compat out, or choose another method.');
  if (parts.length !== 2)
    throw wrong(`slerp interpolates between two adapters, but ${parts.length} are given. Combine them two by two.`);
  const [a = 1, b = 1] = parts.map(({ weight }) => weight);
  if (a < 0 || b < 0 || a + b === 0) {
    throw wrong(
      `slerp's weights are ${a} and ${b}; they must not be negative, nor both zero. The second one's share is how far to go.`,
    );
  }
}

/** A part's name for errors. */
export function partName(name: string | undefined, index: number, count: number): string {
  return name === undefined ? `adapter ${index + 1} of ${count}` : `adapter "${name}"`;
}

function wrong(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}
