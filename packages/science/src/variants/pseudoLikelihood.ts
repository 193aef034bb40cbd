/** @file How likely a whole sequence is to the model, each of its tokens judged by all others. */

import type { Question, TokenScores } from './tokenScores.ts';
import { windowAround } from './window.ts';

/** How likely a sequence is. */
export interface PseudoLikelihood {
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
export async function pseudoLikelihoods(
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
