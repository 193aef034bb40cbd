/** @file Ranking metrics of document lists, one list per query: MRR@10, NDCG@10 and recall@10. */

/** A document of a query's list. */
export interface RankedDocument {
  readonly score: number;
  /** The true relevance; 0 if irrelevant. */
  readonly relevance: number;
}

/** Metrics of one list. */
export interface ListMeasures {
  readonly ndcg: number;
  readonly reciprocalRank: number;
  readonly recall: number;
}

/** Number of documents that count. */
const FIRST = 10;

/**
 * Metrics of a list; undefined without relevant documents. Equal scores rank less relevant documents first, so constant
 * scores do not rank well.
 *
 * - NDCG@10: relevance over log2(rank + 1), summed over the first ten, divided by the best possible sum.
 * - MRR@10: 1 over the rank of the first relevant document, 0 beyond ten.
 * - Recall@10: the fraction of the relevant documents among the first ten; if there are more than ten, of ten.
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
