/** @file Similarity of two sequences by local alignment. */

import type { Scoring } from './scoring.ts';

/** Scores are multiples of this; the remainder counts identical letters, so one maximum tracks both. */
const UNIT = 2 ** 20;
/** Half width of the band around the diagonal. */
const BAND = 24;
const NONE = -(2 ** 45);

export interface LocalAlignment {
  readonly score: number;
  readonly identical: number;
}

/** Banded local alignment with affine gaps, in the memory of one row. */
export class LocalAligner {
  readonly #weights: Float64Array;
  readonly #size: number;
  readonly #open: number;
  readonly #extend: number;
  readonly #best = new Float64Array(2 * BAND + 2);
  readonly #gaps = new Float64Array(2 * BAND + 2);

  constructor({ letters, scores, certain, gapOpen, gapExtend }: Scoring) {
    this.#size = letters.length;
    this.#weights = Float64Array.from(scores, (score, i) => {
      const letter = i % letters.length;
      const isSame = letter === Math.floor(i / letters.length) && letter < certain;
      return score * UNIT + (isSame ? 1 : 0);
    });
    this.#open = gapOpen * UNIT;
    this.#extend = gapExtend * UNIT;
  }

  /**
   * The best local alignment near `diagonal`, the position in `b` minus that in `a` (Smith and Waterman 1981, Gotoh
   * 1982). Among equal scores, the one with most identical letters.
   */
  align(a: Uint8Array, b: Uint8Array, diagonal: number): LocalAlignment {
    const [best, gaps, weights, size] = [this.#best, this.#gaps, this.#weights, this.#size];
    const [open, extend] = [this.#open, this.#extend];
    best.fill(0);
    gaps.fill(NONE);
    let most = 0;
    const first = Math.max(0, -diagonal - BAND);
    const last = Math.min(a.length - 1, b.length - 1 - diagonal + BAND);
    for (let i = first; i <= last; i++) {
      // Column k of the band is position i + diagonal - BAND + k of b; the previous row is shifted by one.
      const shift = i + diagonal - BAND;
      const row = a[i]! * size;
      const end = Math.min(b.length - 1, shift + 2 * BAND) - shift;
      let left = 0;
      let gap = NONE;
      for (let k = Math.max(0, -shift); k <= end; k++) {
        const above = best[k + 1]!;
        let down = gaps[k + 1]! - extend;
        if (above - open > down) down = above - open;
        gaps[k] = down;
        gap -= extend;
        if (left - open > gap) gap = left - open;
        let here = best[k]! + weights[row + b[shift + k]!]!;
        if (gap > here) here = gap;
        if (down > here) here = down;
        // Below one unit no score is left.
        if (here < UNIT) here = 0;
        best[k] = here;
        left = here;
        if (here > most) most = here;
      }
    }
    return { score: Math.floor(most / UNIT), identical: most % UNIT };
  }
}
