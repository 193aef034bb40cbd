/** @file Opens the scorer of the chosen method. */

import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { ScoreOptions, Variant, VariantScorer } from './effectScorer.ts';
import { marginalScorer } from './marginalScorer.ts';
import { pseudoScorer } from './pseudoScorer.ts';
import { TokenScores, type TokenScoresOptions } from './tokenScores.ts';

/**
 * How a variant is scored. All scores are higher for variants that the model finds likelier, and 0 for the wild type.
 *
 * - `masked-marginals`: Σ log p(mutant) − log p(wild type) over the substituted positions t, which are masked
 *   (Meier et al. 2021, ESM-1v; section 3);
 * - `wild-type-marginals`: the same without masks, in one pass over the wild type (ibid.);
 * - `pseudo-log-likelihood`: Σ_i log p(x_i | all but x_i) of the variant, less that of the wild type (ibid.,
 *   "pseudolikelihood"): a pass per residue of every variant;
 * - `pseudo-perplexity`: log of the wild type's pseudo-perplexity, exp(−Σ_i log p(x_i | all but x_i) ÷ residues) (Salazar et al.
 *   2020), less the log of the variant's. It does not grow with length, as the sum does, and so suits variants with insertions or
 *   deletions.
 */
export type VariantMethod = (typeof variantMethods)[number];

/** The names of the methods. */
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
   * Of `masked-marginals`, what is masked for a variant of several substitutions: `additive` (the default) masks each position
   * by itself, so that the score is the sum of those of the single substitutions, as ProteinGym's baselines do (Notin et al.
   * 2023); `together` masks all of them at once, as Meier et al. 2021 write it.
   */
  readonly multiple?: 'additive' | 'together' | undefined;
}

/**
 * Loads a masked language model, such as ESM-2, as one that scores variants.
 * @example
 * ```ts
 * const scorer = await openVariantScorer(model);
 * const [score] = await scorer.score('MKTAYIAK', [{ substitutions: [{ from: 'T', position: 3, to: 'V' }] }]);
 * await scorer.release();
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that gives no scores of tokens, or whose tokens are not residues;
 *   `CONFIG_INVALID`; others as `model.session`
 */
export async function openVariantScorer(
  model: RunnableModel,
  { method = 'masked-marginals', multiple = 'additive', ...options }: VariantScorerOptions = {},
): Promise<VariantScorer> {
  const scores = await TokenScores.open(model, options);
  if (isPseudo(method)) return pseudoScorer(scores, method === 'pseudo-perplexity');
  return marginalScorer(scores, method === 'wild-type-marginals' ? 'none' : multiple === 'together' ? 'together' : 'each'); // prettier-ignore
}

/** True for methods that judge whole sequences, and so can do without a wild type. */
export function isPseudo(method: VariantMethod | undefined): method is 'pseudo-log-likelihood' | 'pseudo-perplexity' {
  return method === 'pseudo-log-likelihood' || method === 'pseudo-perplexity';
}

/**
 * A score for each variant, in their order: higher is likelier to the model, 0 is the wild type.
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
