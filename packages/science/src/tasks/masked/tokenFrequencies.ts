/** @file How often tokens occur: what a guess is worth that knows nothing of the sequence. */

/** Frequencies of tokens in what is trained on. */
export class TokenFrequencies {
  readonly #counts = new Map<number, number>();
  readonly #total: number;
  readonly #best: number;

  /**
   * @param rows token ids
   * @param possible the ids that may be asked about; one that never occurs counts as one occurrence (Laplace), so that none
   *   is impossible
   */
  constructor(rows: Iterable<readonly number[]>, possible: readonly number[]) {
    for (const id of possible) this.#counts.set(id, 1);
    for (const row of rows) for (const id of row) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    this.#best = [...this.#counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
  }

  /** Share of the token among all. */
  share(id: number): number {
    return (this.#counts.get(id) ?? 0) / this.#total;
  }

  /** The most frequent token. */
  get best(): number {
    return this.#best;
  }
}
