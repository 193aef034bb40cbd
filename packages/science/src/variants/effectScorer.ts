/** @file What gives variants scores. */

import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { Variant } from './variant.ts';

/** Options of {@link VariantScorer.score}. */
export interface ScoreOptions {
  /** Called as the model answers, with the number of rows that are done and their total. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What gives every variant of a protein a number, 0 for the wild type. */
export interface EffectScorer extends AsyncDisposable {
  /** What turns the wild type and its variants into tokens. */
  readonly tokenizer: SequenceTokenizer;
  /** A score for each variant, in their order. */
  score(wildType: string, variants: readonly Variant[], options?: ScoreOptions): Promise<number[]>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link EffectScorer.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A model that scores variants. */
export interface VariantScorer extends EffectScorer {
  /**
   * A score for each variant, in their order. What the model says of a wild type is kept for the next call with the same one,
   * so that variants may come in pieces.
   *
   * @throws OnnxLoraError `DATA_INVALID`, naming the variant, for a substitution that does not fit the wild type, a letter that
   *   the model does not know, or inserted or deleted residues where the method compares positions
   */
  score(wildType: string, variants: readonly Variant[], options?: ScoreOptions): Promise<number[]>;
  /**
   * How likely sequences are by themselves, without a wild type: the pseudo-log-likelihood, or with `pseudo-perplexity` its mean
   * over residues, which is the log of 1 ÷ pseudo-perplexity.
   *
   * @throws OnnxLoraError `DATA_INVALID` for other methods, which need a wild type, and as {@link VariantScorer.score}
   */
  likelihoods(sequences: readonly string[], options?: ScoreOptions): Promise<number[]>;
}
