/** @file BM25, a reranking baseline without training. */

/** Saturation of term frequency (k1), length normalisation (b), and the floor of the idf as a share of the mean. */
const [K, B, EPSILON] = [1.5, 0.75, 0.25] as const;

/** The words of a text in lower case. */
export function plainWords(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

/** BM25 scores of documents for queries. */
export class Bm25 {
  readonly #counts: readonly ReadonlyMap<string, number>[];
  readonly #lengths: readonly number[];
  readonly #weights = new Map<string, number>();
  readonly #mean: number;

  /** @param documents the words of each document */
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
    // Words in more than half of the documents would otherwise count against a document.
    const least = (EPSILON * sum) / within.size;
    for (const [word, weight] of this.#weights) if (weight < 0) this.#weights.set(word, least);
  }

  /**
   * A score for each document, equal to that of rank_bm25's BM25Okapi.
   * @see Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009
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
