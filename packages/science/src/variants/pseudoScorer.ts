/** @file Scores variants by pseudo-likelihoods: each letter guessed where it is masked. */

import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import { nameOfVariant, type ScoreOptions, sequenceOf, type Variant, type VariantScorer } from './effectScorer.ts';
import { type Question, type TokenScores, windowAround } from './tokenScores.ts';
import { letterIds } from './wildType.ts';

/** How likely a sequence is. */
interface PseudoLikelihood {
  /** Σ log p(x_i | all tokens but x_i), the pseudo-log-likelihood (Salazar et al. 2020, equation 1). */
  readonly sum: number;
  readonly tokens: number;
}

/**
 * Masks every token of each sequence by itself: as many rows as there are tokens. A token of a sequence that is longer than the
 * model is judged by the window around it.
 *
 * @param sequences token ids without special ones
 */
async function pseudoLikelihoods(
  scores: TokenScores,
  sequences: readonly (readonly number[])[],
  onAnswer?: (done: number, total: number) => void,
): Promise<PseudoLikelihood[]> {
  const total = sequences.reduce((sum, { length }) => sum + length, 0);
  const answers = scores.answers(maskedOneByOne(scores, sequences));
  let done = 0;
  const found: PseudoLikelihood[] = [];
  for (const ids of sequences) {
    let sum = 0;
    for (const id of ids) {
      const { value } = (await answers.next()) as IteratorYieldResult<readonly Float64Array[]>;
      sum += value[0]![id]!;
      onAnswer?.(++done, total);
    }
    found.push({ sum, tokens: ids.length });
  }
  return found;
}

function* maskedOneByOne(scores: TokenScores, sequences: readonly (readonly number[])[]): Generator<Question> {
  for (const ids of sequences)
    for (const at of ids.keys())
      yield scores.question(ids, { span: windowAround(at, ids.length, scores.windowSize), masked: [at], asked: [at] });
}

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
