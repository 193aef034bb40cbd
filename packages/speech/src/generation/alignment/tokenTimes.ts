/** @file When each token is said, by what the decoder attends to while it is read. */

import { type Grid, timeWarp } from './timeWarp.ts';

/** Weights are smoothed over so many positions, as in the configuration of all published models. */
const FILTER_WIDTH = 7;

/**
 * Positions of the encoder at which tokens end, one for each row of attention weights `[tokens, positions]`. The weights of each head are compared with those of other
 * tokens at the same position, smoothed over time, and averaged; a token's place is where the cheapest path through them is.
 *
 * @param heads at least one, all of the same size
 * @see transformers, WhisperGenerationMixin._extract_token_timestamps; openai-whisper, whisper/timing.py, find_alignment
 */
export function tokenTimes(heads: readonly Grid[]): number[] {
  const { rows, columns } = heads[0]!;
  const costs = { rows, columns, data: new Float64Array(rows * columns) };
  const smooth = new Float64Array(columns);
  for (const head of heads) {
    const scores = standardised(head);
    for (let row = 0; row < rows; row++) {
      medianFilter(scores.subarray(row * columns, (row + 1) * columns), smooth);
      for (let i = 0; i < columns; i++) costs.data[row * columns + i]! -= smooth[i]! / heads.length;
    }
  }
  return timeWarp(costs);
}

/** Of mean 0 and deviation 1 over the tokens, at each position. */
function standardised({ rows, columns, data }: Grid): Float64Array {
  const scores = Float64Array.from(data);
  for (let i = 0; i < columns; i++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < rows; row++) sum += scores[row * columns + i]!;
    const mean = sum / rows;
    for (let row = 0; row < rows; row++) squares += (scores[row * columns + i]! - mean) ** 2;
    const deviation = Math.sqrt(squares / rows);
    // Where all tokens attend alike nothing is known.
    for (let at = i; at < scores.length; at += columns)
      scores[at] = deviation === 0 ? 0 : (scores[at]! - mean) / deviation;
  }
  return scores;
}

/** The median of each value and its neighbours; both ends are mirrored. Too few values stay as they are. */
export function medianFilter(values: Float64Array, result: Float64Array): void {
  const half = (FILTER_WIDTH - 1) / 2;
  const { length } = values;
  if (length <= half) {
    result.set(values);
    return;
  }
  const window = new Float64Array(FILTER_WIDTH);
  const last = length - 1;
  for (let i = 0; i < length; i++) {
    for (let k = -half; k <= half; k++) {
      const at = Math.abs(i + k);
      window[k + half] = values[at > last ? 2 * last - at : at]!;
    }
    result[i] = window.sort()[half]!;
  }
}
