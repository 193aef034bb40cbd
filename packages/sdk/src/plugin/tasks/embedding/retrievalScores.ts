/** @file How well examples find others of their kind: recall at k, and mean average precision at R. */

import { type Matrix, matmul, matrix } from '../../../linalg/matrix.ts';
import type { MetricsNamed } from '../../dataset.ts';
import { meanMeasure } from '../statistics/measure.ts';
import { l2Normalize } from './rows.ts';

/** Embeddings `[examples, width]` and the kind of each. */
export interface LabelledMatrix {
  /** One row per example. */
  readonly embeddings: Matrix;
  /** The kind of each row. */
  readonly labels: readonly (number | string)[];
}

/** The k of recall. */
const ks = [1, 5, 10] as const;

/** Metrics of {@link retrievalScores}. */
export type RetrievalScores = MetricsNamed<'recall@1' | 'recall@5' | 'recall@10' | 'mapAtR' | 'queries'>;

/** Queries at a time, so that similarities of all with all need not be in memory. */
const block = 256;

/**
 * For each query, the others are ordered by cosine. `recall@k`: the share of queries that have one of their label among the
 * first k. `mapAtR`: with R images of the query's label, the mean over the first R places of the precision there, 0 where
 * one has another label. Queries whose label no other has are left out; `queries` counts the rest.
 *
 * @param gallery what is searched; without it, all queries but the one that asks
 * @see https://arxiv.org/abs/2003.08505, section 3.1, of mapAtR
 */
export function retrievalScores(queries: LabelledMatrix, gallery?: LabelledMatrix): RetrievalScores {
  const { asked, values } = scoresByQuery(queries, gallery);
  return { ...meanMeasure(values)(), queries: asked.length };
}

/** What {@link scoresByQuery} finds. */
export interface QueryScores {
  /** The queries whose label another has, by their rows. */
  readonly asked: readonly number[];
  /** Of each of these, by the names of the metrics whose means they make: 0 or 1 for a recall. */
  readonly values: Readonly<Record<`recall@${1 | 5 | 10}` | 'mapAtR', readonly number[]>>;
}

/** {@link retrievalScores} of each query for itself. */
export function scoresByQuery(queries: LabelledMatrix, gallery?: LabelledMatrix): QueryScores {
  const searched = gallery ?? queries;
  const [left, right] = [l2Normalize(queries.embeddings), l2Normalize(searched.embeddings)];
  const numbers = new Map<number | string, number>();
  for (const label of searched.labels) numbers.set(label, (numbers.get(label) ?? 0) + 1);
  const asked: number[] = [];
  const values = { 'recall@1': [] as number[], 'recall@5': [] as number[], 'recall@10': [] as number[], mapAtR: [] as number[] }; // prettier-ignore
  for (let from = 0; from < left.rows; from += block) {
    const to = Math.min(from + block, left.rows);
    const part = matrix(to - from, left.columns, left.data.slice(from * left.columns, to * left.columns));
    const cosines = matmul(part, right, { transposeB: true }).data;
    for (let i = from; i < to; i++) {
      const label = queries.labels[i]!;
      const relevant = (numbers.get(label) ?? 0) - (gallery ? 0 : 1);
      if (relevant < 1) continue;
      asked.push(i);
      const row = cosines.subarray((i - from) * right.rows, (i - from + 1) * right.rows);
      const order = nearest(row, gallery ? -1 : i, Math.max(relevant, ks.at(-1)!));
      const isRight = order.map((at) => searched.labels[at] === label);
      for (const k of ks) values[`recall@${k}`].push(Number(isRight.slice(0, k).includes(true)));
      let found = 0;
      let sum = 0;
      isRight.slice(0, relevant).forEach((each, place) => {
        if (each) sum += ++found / (place + 1);
      });
      values.mapAtR.push(sum / relevant);
    }
  }
  return { asked, values };
}

/** Indices of the `count` largest, largest first, equal ones in their order; `without` is left out. */
function nearest(row: Float64Array, without: number, count: number): number[] {
  const order = Array.from(row, (_, index) => index).filter((index) => index !== without);
  return order.sort((a, b) => row[b]! - row[a]! || a - b).slice(0, count);
}
