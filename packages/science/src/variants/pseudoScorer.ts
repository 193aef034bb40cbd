/** @file Scores variants by pseudo-likelihood, masking each letter in turn. */

import { nameOfVariant, type ScoreOptions, sequenceOf, type VariantScorer } from './effectScorer.ts';
import { type Question, type TokenScores, windowAround } from './tokenScores.ts';
import { letterIds } from './marginalScorer.ts';

interface Named {
  readonly sequence: string;
  readonly name: string;
}

/** Scores by pseudo-log-likelihoods, or their means over residues. */
export function pseudoScorer(scores: TokenScores, isMean: boolean): VariantScorer {
  let wild: { readonly sequence: string; readonly likelihood: number } | undefined;
  const likelihoods = (all: readonly Named[], { onProgress }: ScoreOptions = {}): Promise<number[]> =>
    likelihoodsOf(scores, all, isMean, onProgress);
  return {
    tokenizer: scores.tokenizer,
    score: async (wildType, variants, options) => {
      const named = variants.map((each) => ({ sequence: sequenceOf(each, wildType), name: nameOfVariant(each) }));
      const known = wild?.sequence === wildType ? wild : undefined;
      const all = await likelihoods([...(known ? [] : [{ sequence: wildType, name: 'the wild type' }]), ...named], options); // prettier-ignore
      const { likelihood } = (wild = known ?? { sequence: wildType, likelihood: all[0]! });
      return all.slice(known ? 0 : 1).map((each) => each - likelihood);
    },
    likelihoods: (sequences, options) =>
      likelihoods(
        sequences.map((sequence) => ({ sequence, name: nameOfVariant({ sequence }) })),
        options,
      ),
    release: () => scores.release(),
    [Symbol.asyncDispose]: () => scores.release(),
  };
}

/**
 * Pseudo-log-likelihoods Σ log p(x_i | all tokens but x_i) (Salazar et al. 2020, equation 1), or their means. Each
 * token is masked alone, in a window of long sequences; duplicates are computed once.
 */
async function likelihoodsOf(
  scores: TokenScores,
  all: readonly Named[],
  isMean: boolean,
  onAnswer: ScoreOptions['onProgress'],
): Promise<number[]> {
  const ids = new Map(all.map(({ sequence, name }) => [sequence, letterIds(scores.tokenizer, sequence, name)]));
  const total = [...ids.values()].reduce((sum, { length }) => sum + length, 0);
  const answers = scores.answers(maskedOneByOne(scores, ids.values()));
  const values = new Map<string, number>();
  let done = 0;
  for (const [sequence, own] of ids) {
    let sum = 0;
    for (const id of own) {
      const { value } = (await answers.next()) as IteratorYieldResult<readonly Float64Array[]>;
      sum += value[0]![id]!;
      onAnswer?.(++done, total);
    }
    values.set(sequence, isMean ? sum / own.length : sum);
  }
  return all.map(({ sequence }) => values.get(sequence)!);
}

function* maskedOneByOne(scores: TokenScores, sequences: Iterable<readonly number[]>): Generator<Question> {
  for (const ids of sequences)
    for (const at of ids.keys())
      yield scores.question(ids, { span: windowAround(at, ids.length, scores.windowSize), masked: [at], asked: [at] });
}
