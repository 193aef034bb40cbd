/** @file Report section that compares searches: the base, the adapter, and a baseline. */

import type { Metrics } from '../../statistics/measure.ts';
import type { ReportRequest } from '../../plugin/preparedTask.ts';
import type { ReportSection } from '../../plugin/reportSection.ts';
import { batchesOf, type BatchSource } from '../batches.ts';
import { bootstrapDraws, type Draws, drawsFor, intervalsOf } from '../../statistics/bootstrap.ts';
import { meanMeasure } from '../../statistics/measure.ts';
import { type EmbeddingsOf, RetrievalMetrics } from './retrievalScores.ts';

/** A baseline search, such as by words. */
export interface BaselineSearch {
  /** Its name: `BM25`. */
  readonly name: string;
  /** Score of each searched example for a query; both are indexed among the queries, and among the other examples. */
  readonly scoresOf: (query: number) => Float64Array;
}

const columns = ['recall@1', 'recall@5', 'recall@10'] as const;

interface Measured {
  readonly metrics: Metrics;
  readonly draws: Draws;
}

/** A table with a row per search; `labels` are the kinds of the examples, `asks` marks queries. */
export async function searchSection<Example>(
  source: BatchSource<Example>,
  rival: BaselineSearch,
  { labels, asks }: { readonly labels: readonly number[]; readonly asks: readonly boolean[] },
  embeddingsOf: EmbeddingsOf,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<ReportSection> {
  const [base, adapted] = [new RetrievalMetrics(embeddingsOf), new RetrievalMetrics(embeddingsOf)];
  for await (const { batch } of batchesOf(source, request.batchSize)) {
    base.update(await request.run(batch.inputs, 'base'), batch.targets);
    adapted.update(await request.run(batch.inputs, 'adapted'), batch.targets);
  }
  const part = (isAsking: boolean): number[] => labels.filter((_, i) => asks[i] === isAsking);
  const found = rivalScores(rival, part(true), part(false));
  const row = (name: string, { metrics, draws }: Measured): string[] => [
    name,
    ...columns.map((column) => {
      const interval = intervalsOf(draws)[column];
      const range = interval ? ` (${interval.map((value) => value.toFixed(3)).join(' to ')})` : '';
      return `${metrics[column]!.toFixed(3)}${range}`;
    }),
  ];
  const of = (collector: RetrievalMetrics): Measured => ({ metrics: collector.result(), draws: collector.draws() }); // prettier-ignore
  return {
    kind: 'table',
    title: 'Against another search',
    baselines: { [rival.name]: found },
    text: `How many of ${found.queries} held-out queries find their own among the first. In brackets: 95% intervals by a bootstrap over queries.`,
    columns: ['search', ...columns],
    rows: [row(rival.name, found), row('model before', of(base)), row('with the adapter', of(adapted))],
  };
}

/** Results of the baseline. Among equal scores, wrong ones come first. */
function rivalScores(
  { scoresOf }: BaselineSearch,
  queries: readonly number[],
  searched: readonly number[],
): Measured & { readonly queries: number } {
  const known = new Set(searched);
  const ranks = queries.flatMap((label, query) => {
    if (!known.has(label)) return [];
    const scores = scoresOf(query);
    const best = searched.reduce((most, each, i) => (each === label ? Math.max(most, scores[i]!) : most), -Infinity);
    return [searched.filter((each, i) => each !== label && scores[i]! >= best).length];
  });
  const values = Object.fromEntries([1, 5, 10].map((k) => [`recall@${k}`, ranks.map((rank) => Number(rank < k))]));
  const measure = meanMeasure(values);
  const { length } = ranks;
  return { metrics: measure(), draws: bootstrapDraws(measure, length, { samples: drawsFor(length) }), queries: length }; // prettier-ignore
}
