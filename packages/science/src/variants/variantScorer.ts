/** @file Opens the scorer of the chosen method. */

import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { ScoreOptions, Variant, VariantScorer } from './effectScorer.ts';
import { marginalScorer } from './marginalScorer.ts';
import { pseudoScorer } from './pseudoScorer.ts';
import { TokenScores, type TokenScoresOptions } from './tokenScores.ts';

/**
 * How a variant is scored. Scores are higher for likelier variants, and 0 for the wild type.
 *
 * - `masked-marginals`: Σ log p(mutant) − log p(wild type) over the substituted, masked positions (Meier et al. 2021,
 *   ESM-1v; section 3);
 * - `wild-type-marginals`: the same without masks, in one pass over the wild type (ibid.);
 * - `pseudo-log-likelihood`: Σ_i log p(x_i | all but x_i) of the variant minus the wild type's (ibid.,
 *   "pseudolikelihood"), in a pass per residue of every variant;
 * - `pseudo-perplexity`: log of the pseudo-perplexity, exp(−Σ_i log p(x_i | all but x_i) ÷ residues) (Salazar et al.
 *   2020), of the wild type minus the variant's. Unlike the sum it does not grow with length, which suits insertions
 *   and deletions.
 */
export type VariantMethod = (typeof variantMethods)[number];

/** Names of the methods. */
export const variantMethods = [
  'masked-marginals',
  'wild-type-marginals',
  'pseudo-log-likelihood',
  'pseudo-perplexity',
] as const;

/** Options of {@link openVariantScorer}. */
export interface VariantScorerOptions extends TokenScoresOptions {
  /** `masked-marginals` by default. */
  readonly method?: VariantMethod | undefined;
  /**
   * Masking of several substitutions by `masked-marginals`: `additive` (default) masks each alone, so that scores add
   * up (ProteinGym, Notin et al. 2023); `together` masks all at once (Meier et al. 2021).
   */
  readonly multiple?: 'additive' | 'together' | undefined;
}

/**
 * Loads a masked language model, such as ESM-2, as a variant scorer.
 * @example
 * ```ts
 * const scorer = await openVariantScorer(model);
 * const [score] = await scorer.score('MKTAYIAK', [{ substitutions: [{ from: 'T', position: 3, to: 'V' }] }]);
 * await scorer.release();
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` without token scores, or with tokens that are not residues;
 * `CONFIG_INVALID`; others as `model.session`
 */
export async function openVariantScorer(
  model: RunnableModel,
  { method = 'masked-marginals', multiple = 'additive', ...options }: VariantScorerOptions = {},
): Promise<VariantScorer> {
  const scores = await TokenScores.open(model, options);
  if (isPseudo(method)) return pseudoScorer(scores, method === 'pseudo-perplexity');
  return marginalScorer(scores, method === 'wild-type-marginals' ? 'none' : multiple === 'together' ? 'together' : 'each'); // prettier-ignore
}

/** True for methods that judge whole sequences and need no wild type. */
export function isPseudo(method: VariantMethod | undefined): method is 'pseudo-log-likelihood' | 'pseudo-perplexity' {
  return method === 'pseudo-log-likelihood' || method === 'pseudo-perplexity';
}

/**
 * A score for each variant, in order: higher is likelier, 0 is the wild type.
 * @example
 * ```ts
 * const variants = [{ substitutions: parseMutations('T3V') }, { substitutions: parseMutations('T3V:A4G') }];
 * const scores = await scoreVariants(model, 'MKTAYIAK', variants, { method: 'masked-marginals' });
 * ```
 * @throws OnnxLoraError as {@link openVariantScorer} and its `score`
 */
export async function scoreVariants(
  model: RunnableModel,
  wildType: string,
  variants: readonly Variant[],
  { onProgress, ...options }: VariantScorerOptions & ScoreOptions = {},
): Promise<number[]> {
  const scorer = await openVariantScorer(model, options);
  try {
    return await scorer.score(wildType, variants, { onProgress });
  } finally {
    await scorer.release();
  }
}
