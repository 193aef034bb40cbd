/** @file Scores variants in one call. */

import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { Variant } from './variant.ts';
import type { ScoreOptions } from './effectScorer.ts';
import { openVariantScorer, type VariantScorerOptions } from './variantScorer.ts';

/**
 * A score for each variant, in their order: higher is likelier to the model, 0 is the wild type.
 *
 * @example
 * ```ts
 * const variants = [{ substitutions: parseMutations('T3V') }, { substitutions: parseMutations('T3V:A4G') }];
 * const scores = await scoreVariants(model, 'MKTAYIAK', variants, { method: 'masked-marginals' });
 * ```
 *
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
