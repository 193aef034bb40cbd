/** @file Variants and the interface of their scorers. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import { mutated, mutationsBetween, nameOfMutations } from '../data/mutations.ts';
import type { Substitution } from '../data/sequenceRecord.ts';

/** A variant: its substitutions, or its whole sequence, which may be longer or shorter. */
export interface Variant {
  /** Name in messages; the mutations by default. */
  readonly id?: string;
  /** Differences from the wild type. */
  readonly substitutions?: readonly Substitution[];
  /** Optional with substitutions. */
  readonly sequence?: string;
}

/** A variant's name in messages. */
export function nameOfVariant({ id, substitutions, sequence = '' }: Variant): string {
  if (id !== undefined) return id;
  if (substitutions) return nameOfMutations(substitutions);
  return sequence.length > 40 ? `${sequence.slice(0, 40)}…` : sequence;
}

/**
 * A variant's substitutions; undefined if insertions or deletions change its length.
 * @throws OnnxLoraError `DATA_INVALID` for a substitution that does not fit the wild type, naming both
 */
export function substitutionsOf(variant: Variant, wildType: string): readonly Substitution[] | undefined {
  const sequence = sequenceOf(variant, wildType);
  return sequence.length === wildType.length ? mutationsBetween(wildType, sequence) : undefined;
}

/** @throws OnnxLoraError as {@link substitutionsOf} */
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
  /** Called with the number of rows done and their total. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Scores the variants of a protein, with 0 for the wild type. */
export interface EffectScorer extends AsyncDisposable {
  /** Tokenizes the wild type and its variants. */
  readonly tokenizer: SequenceTokenizer;
  /** A score for each variant, in order. */
  score(wildType: string, variants: readonly Variant[], options?: ScoreOptions): Promise<number[]>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link EffectScorer.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A masked language model that scores variants. */
export interface VariantScorer extends EffectScorer {
  /**
   * A score for each variant, in order. The model's answers about a wild type are kept for the next call, so that
   * variants may come in chunks.
   * @throws OnnxLoraError `DATA_INVALID`, naming the variant, for a substitution that does not fit the wild type, an
   * unknown letter, or insertions and deletions where the method compares positions
   */
  score(wildType: string, variants: readonly Variant[], options?: ScoreOptions): Promise<number[]>;
  /**
   * Likelihoods of sequences without a wild type: pseudo-log-likelihoods, or with `pseudo-perplexity` their means over
   * residues, log(1 ÷ pseudo-perplexity).
   * @throws OnnxLoraError `DATA_INVALID` for methods that need a wild type, and as {@link VariantScorer.score}
   */
  likelihoods(sequences: readonly string[], options?: ScoreOptions): Promise<number[]>;
}
