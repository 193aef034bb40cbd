/** @file How well lists of documents are ordered, one list for each query: MRR@10, NDCG@10 and recall@10. */

/** A document of a list. */
export interface RankedDocument {
  /** How well it fits, by the model. */
  readonly score: number;
  /** How well it does; 0 where it does not. */
  readonly relevance: number;
}

/** What is measured of a list. */
export interface ListMeasures {
  readonly ndcg: number;
  readonly reciprocalRank: number;
  readonly recall: number;
}

/** Documents that count. */
const FIRST = 10;

/**
 * Measures of a list; undefined where nothing in it is relevant. Of equal scores the less relevant documents come first, so that a model
 * that says nothing is not taken for a good one.
 *
 * - NDCG@10: relevance over log2(rank + 1), summed over the first ten, over the best that there can be.
 * - MRR@10: 1 over the rank of the first relevant document, 0 beyond ten.
 * - Recall@10: the share of the relevant documents among the first ten; of ten, where there are more.
 */
export function listMeasures(documents: readonly RankedDocument[]): ListMeasures | undefined {
  const relevant = documents.filter(({ relevance }) => relevance > 0).length;
  if (relevant === 0) return undefined;
  const first = documents.toSorted((a, b) => b.score - a.score || a.relevance - b.relevance).slice(0, FIRST);
  const best = documents.toSorted((a, b) => b.relevance - a.relevance).slice(0, FIRST);
  const gain = (list: readonly RankedDocument[]): number =>
    list.reduce((sum, { relevance }, i) => sum + relevance / Math.log2(i + 2), 0);
  const at = first.findIndex(({ relevance }) => relevance > 0);
  return {
    ndcg: gain(first) / gain(best),
    reciprocalRank: at < 0 ? 0 : 1 / (at + 1),
    recall: first.filter(({ relevance }) => relevance > 0).length / Math.min(relevant, FIRST),
  };
}
