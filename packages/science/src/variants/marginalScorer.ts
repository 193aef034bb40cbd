/** @file Scores substitutions by the log-odds of residues at their positions. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Substitution } from '../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { TokenScores } from './tokenScores.ts';
import { nameOfVariant, type ScoreOptions, substitutionsOf, type Variant, type VariantScorer } from './effectScorer.ts';
import { type Masking, WildType } from './wildType.ts';

/** Masked marginals and wild-type marginals. */
export class MarginalScorer implements VariantScorer {
  readonly #scores: TokenScores;
  readonly #masking: Masking;
  #wildType: WildType | undefined;

  constructor(scores: TokenScores, masking: Masking) {
    this.#scores = scores;
    this.#masking = masking;
  }

  get tokenizer(): SequenceTokenizer {
    return this.#scores.tokenizer;
  }

  async score(sequence: string, variants: readonly Variant[], { onProgress }: ScoreOptions = {}): Promise<number[]> {
    if (this.#wildType?.sequence !== sequence) this.#wildType = new WildType(sequence, this.#masking, this.#scores);
    const wildType = this.#wildType;
    const all = variants.map((variant) => this.#substitutionsOf(variant, sequence));
    await wildType.ask(all, onProgress);
    return all.map((substitutions) => wildType.logOdds(substitutions));
  }

  likelihoods(): Promise<number[]> {
    return Promise.reject(noWildType());
  }

  async release(): Promise<void> {
    await this.#scores.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #substitutionsOf(variant: Variant, wildType: string): readonly Substitution[] {
    const substitutions = substitutionsOf(variant, wildType);
    if (substitutions) return substitutions;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The variant "${nameOfVariant(variant)}" has ${variant.sequence!.length} residues, and the wild type ${wildType.length}: some were inserted or deleted, and marginals compare position by position. Choose the method pseudo-perplexity, or leave it out.`,
    );
  }
}

/** For data of variants of which the wild type is not known. */
export function noWildType(): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    'Variants are compared with their wild type, and it is not known. Give the sequence, or a FASTA file with it (wildType, on the command line --set wildType=…); or choose the method pseudo-perplexity, which judges sequences by themselves.',
  );
}
