/** @file BM25, a baseline of reranking without training. */

/** Saturation of term frequency (k1), length normalisation (b), and the floor of the idf as a share of the mean. */
const [K, B, EPSILON] = [1.5, 0.75, 0.25] as const;

/** Words of a text, in small letters. */
export function plainWords(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

/** Documents that are asked with words. */
export class Bm25 {
  readonly #counts: readonly ReadonlyMap<string, number>[];
  readonly #lengths: readonly number[];
  readonly #weights = new Map<string, number>();
  readonly #mean: number;

  /** `documents` in words. */
  constructor(documents: readonly (readonly string[])[]) {
    const within = new Map<string, number>();
    this.#lengths = documents.map(({ length }) => length);
    this.#mean = this.#lengths.reduce((sum, length) => sum + length, 0) / documents.length;
    this.#counts = documents.map((words) => {
      const own = new Map<string, number>();
      for (const word of words) own.set(word, (own.get(word) ?? 0) + 1);
      for (const word of own.keys()) within.set(word, (within.get(word) ?? 0) + 1);
      return own;
    });
    let sum = 0;
    for (const [word, count] of within) {
      const weight = Math.log(documents.length - count + 0.5) - Math.log(count + 0.5);
      sum += weight;
      this.#weights.set(word, weight);
    }
    // Words of more than half of the documents would count against what has them.
    const least = (EPSILON * sum) / within.size;
    for (const [word, weight] of this.#weights) if (weight < 0) this.#weights.set(word, least);
  }

  /**
   * A score for each document.
   * @param query in words
   * @see Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009; rank_bm25's BM25Okapi, which it equals
   */
  scores(query: readonly string[]): Float64Array {
    return Float64Array.from(this.#counts, (counts, document) => {
      const long = K * (1 - B + (B * this.#lengths[document]!) / this.#mean);
      return query.reduce((sum, word) => {
        const count = counts.get(word) ?? 0;
        return sum + ((this.#weights.get(word) ?? 0) * count * (K + 1)) / (count + long);
      }, 0);
    });
  }
}
