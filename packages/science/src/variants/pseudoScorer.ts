/** @file Scores variants by how likely their whole sequences are. */

import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import { letterIds } from './letterIds.ts';
import { pseudoLikelihoods } from './pseudoLikelihood.ts';
import type { TokenScores } from './tokenScores.ts';
import { nameOfVariant, sequenceOf, type Variant } from './variant.ts';
import type { ScoreOptions, VariantScorer } from './effectScorer.ts';

/** A sequence, and what it is called in errors. */
interface Named {
  readonly sequence: string;
  readonly name: string;
}

/** Pseudo-log-likelihoods, or their means over residues. */
export class PseudoScorer implements VariantScorer {
  readonly #scores: TokenScores;
  readonly #isMean: boolean;
  /** The wild type of the last call, and how likely it is. */
  #wildType: { readonly sequence: string; readonly likelihood: number } | undefined;

  constructor(scores: TokenScores, isMean: boolean) {
    this.#scores = scores;
    this.#isMean = isMean;
  }

  get tokenizer(): SequenceTokenizer {
    return this.#scores.tokenizer;
  }

  async score(wildType: string, variants: readonly Variant[], { onProgress }: ScoreOptions = {}): Promise<number[]> {
    const named = variants.map((each) => ({ sequence: sequenceOf(each, wildType), name: nameOfVariant(each) }));
    const known = this.#wildType?.sequence === wildType ? this.#wildType : undefined;
    const all = await this.#likelihoods([...(known ? [] : [{ sequence: wildType, name: 'the wild type' }]), ...named], onProgress); // prettier-ignore
    const { likelihood } = (this.#wildType = known ?? { sequence: wildType, likelihood: all[0]! });
    return all.slice(known ? 0 : 1).map((each) => each - likelihood);
  }

  likelihoods(sequences: readonly string[], { onProgress }: ScoreOptions = {}): Promise<number[]> {
    return this.#likelihoods(
      sequences.map((sequence) => ({ sequence, name: nameOfVariant({ sequence }) })),
      onProgress,
    );
  }

  async release(): Promise<void> {
    await this.#scores.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Of each sequence; those that occur twice are computed once. */
  async #likelihoods(all: readonly Named[], onProgress: ScoreOptions['onProgress']): Promise<number[]> {
    const ids = new Map(all.map(({ sequence, name }) => [sequence, letterIds(this.tokenizer, sequence, name)]));
    const found = await pseudoLikelihoods(this.#scores, [...ids.values()], onProgress);
    const values = new Map([...ids.keys()].map((sequence, i) => [sequence, found[i]!]));
    return all.map(({ sequence }) => {
      const { sum, tokens } = values.get(sequence)!;
      return this.#isMean ? sum / tokens : sum;
    });
  }
}
