/** @file Variants and the interface of their scorers. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import { mutated, mutationsBetween, nameOfMutations } from '../data/mutations.ts';
import type { Substitution } from '../data/sequenceRecord.ts';

/** A variant: what is substituted in the wild type, or its whole sequence, which may be longer or shorter. */
export interface Variant {
  /** What it is called in messages; its mutations by default. */
  readonly id?: string;
  /** How it differs from the wild type. */
  readonly substitutions?: readonly Substitution[];
  /** Not needed where there are substitutions. */
  readonly sequence?: string;
}

/** What a variant is called in messages. */
export function nameOfVariant({ id, substitutions, sequence = '' }: Variant): string {
  if (id !== undefined) return id;
  if (substitutions) return nameOfMutations(substitutions);
  return sequence.length > 40 ? `${sequence.slice(0, 40)}…` : sequence;
}

/**
 * What a variant substitutes; undefined where it has another length than the wild type, so that residues were inserted or
 * deleted.
 * @throws OnnxLoraError `DATA_INVALID` where a substitution does not fit the wild type, naming both
 */
export function substitutionsOf(variant: Variant, wildType: string): readonly Substitution[] | undefined {
  const sequence = sequenceOf(variant, wildType);
  return sequence.length === wildType.length ? mutationsBetween(wildType, sequence) : undefined;
}

/**
 * The variant's whole sequence.
 * @throws OnnxLoraError as {@link substitutionsOf}
 */
export function sequenceOf(variant: Variant, wildType: string): string {
  const { substitutions, sequence } = variant;
  if (substitutions) return mutated(wildType, substitutions, nameOfVariant(variant));
  if (sequence !== undefined) return sequence;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The variant "${nameOfVariant(variant)}" has neither substitutions nor a sequence. Give one of them.`,
  );
}

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
   * @throws OnnxLoraError `DATA_INVALID`, naming the variant, for a substitution that does not fit the wild type, a letter that
   *   the model does not know, or inserted or deleted residues where the method compares positions
   */
  score(wildType: string, variants: readonly Variant[], options?: ScoreOptions): Promise<number[]>;
  /**
   * How likely sequences are by themselves, without a wild type: the pseudo-log-likelihood, or with `pseudo-perplexity` its mean
   * over residues, which is the log of 1 ÷ pseudo-perplexity.
   * @throws OnnxLoraError `DATA_INVALID` for other methods, which need a wild type, and as {@link VariantScorer.score}
   */
  likelihoods(sequences: readonly string[], options?: ScoreOptions): Promise<number[]>;
}
