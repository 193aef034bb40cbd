/** @file Retrieval metrics: recall at k, and mean average precision at R. */

import { type Matrix, sliceColumns } from '../../linalg/matrix.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { MetricCollector } from '../../plugin/dataset.ts';
import type { MetricsNamed } from '../../statistics/measure.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
import { meanMeasure } from '../../statistics/measure.ts';
import { forEachNeighbours, type Nearest } from './neighbours.ts';
import { joinRows, matrixOf, l2Normalize, takeRows } from './rows.ts';

/** Embeddings `[examples, width]` with the kind of each. */
export interface LabelledMatrix {
  /** One row per example. */
  readonly embeddings: Matrix;
  /** The kind of each row. */
  readonly labels: readonly (number | string)[];
}

const ks = [1, 5, 10] as const;

/** Metrics of {@link retrievalScores}. */
export type RetrievalScores = MetricsNamed<'recall@1' | 'recall@5' | 'recall@10' | 'mapAtR' | 'queries'>;

/**
 * Ranks the gallery by cosine for each query; without a gallery, all other queries. `recall@k` is the fraction of
 * queries with their own label among the first k. `mapAtR` (https://arxiv.org/abs/2003.08505, section 3.1): with R
 * examples of the query's label, the mean over the first R ranks of the precision there, 0 at ranks of other labels.
 * Queries without a match in the gallery are excluded; `queries` counts the rest.
 */
export function retrievalScores(queries: LabelledMatrix, gallery?: LabelledMatrix): RetrievalScores {
  const { asked, values } = scoresByQuery(queries, gallery);
  return { ...meanMeasure(values)(), queries: asked.length };
}

/** Metrics per query. */
export interface QueryScores {
  /** Rows of the queries with a match in the gallery. */
  readonly asked: readonly number[];
  /** Values per query, by metric; 0 or 1 for recall. */
  readonly values: Readonly<Record<`recall@${1 | 5 | 10}` | 'mapAtR', readonly number[]>>;
}

/** {@link retrievalScores} per query. */
export function scoresByQuery(queries: LabelledMatrix, gallery?: LabelledMatrix): QueryScores {
  const searched = gallery ?? queries;
  const numbers = new Map<number | string, number>();
  for (const label of searched.labels) numbers.set(label, (numbers.get(label) ?? 0) + 1);
  const asked: number[] = [];
  const values = { 'recall@1': [] as number[], 'recall@5': [] as number[], 'recall@10': [] as number[], mapAtR: [] as number[] }; // prettier-ignore
  const relevantTo = (query: number): number => (numbers.get(queries.labels[query]!) ?? 0) - (gallery ? 0 : 1);
  const wanted = (query: number): number => (relevantTo(query) < 1 ? 0 : Math.max(relevantTo(query), ks.at(-1)!));
  const use = ({ rows }: Nearest, query: number): void => {
    const relevant = relevantTo(query);
    if (relevant < 1) return;
    asked.push(query);
    const isRight = Array.from(rows, (row) => searched.labels[row] === queries.labels[query]);
    for (const k of ks) values[`recall@${k}`].push(Number(isRight.slice(0, k).includes(true)));
    let found = 0;
    let sum = 0;
    isRight.slice(0, relevant).forEach((each, place) => {
      if (each) sum += ++found / (place + 1);
    });
    values.mapAtR.push(sum / relevant);
  };
  const [left, right] = [queries, searched].map(({ embeddings }) => l2Normalize(embeddings)) as [Matrix, Matrix];
  forEachNeighbours({ features: right, isUnit: true }, left, wanted, use, gallery ? undefined : [...queries.labels.keys()]); // prettier-ignore
  return { asked, values };
}

/** Makes embeddings float32 `[batch, width]` from a model's outputs. */
export type EmbeddingsOf = (outputs: Readonly<Record<string, Tensor>>, targets: Feeds) => Tensor;

/** Target that is 1 for queries and 0 for examples that are only searched, int64 `[batch]`. */
export const IS_QUERY = 'asks';

/** Retrieval metrics. Targets are `labels`, int64 `[batch]`, and `asks` if only some examples are queries. */
export class RetrievalMetrics implements MetricCollector<RetrievalScores> {
  readonly #embeddingsOf: EmbeddingsOf;
  readonly #parts: Tensor[] = [];
  readonly #labels: number[] = [];
  readonly #asks: boolean[] = [];
  readonly #sizes: readonly number[];
  #scores: QueryScores | undefined;

  /** `sizes` are widths whose first numbers are also measured alone: `recall@1 of 64`. */
  constructor(embeddingsOf: EmbeddingsOf, sizes: readonly number[] = []) {
    this.#embeddingsOf = embeddingsOf;
    this.#sizes = sizes;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#scores = undefined;
    this.#parts.push(this.#embeddingsOf(outputs, targets));
    for (const label of targets['labels']!.data) this.#labels.push(Number(label));
    for (const asks of targets[IS_QUERY]?.data ?? []) this.#asks.push(Number(asks) === 1);
  }

  /** `recall@1`, `recall@5`, `recall@10`, `mapAtR` and the number of queries, see {@link retrievalScores}. */
  result(): RetrievalScores {
    const { asked, values } = this.#byQuery();
    return { ...meanMeasure(values)(), queries: asked.length };
  }

  /** The metrics, except `queries`, on resamples of the queries; the gallery stays the same. */
  draws(): Draws {
    const { asked, values } = this.#byQuery();
    return bootstrapDraws(meanMeasure(values), asked.length, { samples: drawsFor(asked.length) });
  }

  #byQuery(): QueryScores {
    if (!this.#scores) {
      const embeddings = matrixOf(joinRows(this.#parts));
      const { asked, values } = this.#scoresOf(embeddings);
      const own = this.#sizes.map((size) => {
        const first = sliceColumns(embeddings, 0, Math.min(size, embeddings.columns));
        return [`recall@1 of ${size}`, this.#scoresOf(first).values['recall@1']];
      });
      this.#scores = { asked, values: { ...values, ...Object.fromEntries(own) } };
    }
    return this.#scores;
  }

  #scoresOf(embeddings: Matrix): QueryScores {
    const all: LabelledMatrix = { embeddings, labels: this.#labels };
    if (this.#asks.length === 0) return scoresByQuery(all);
    return scoresByQuery(
      rowsThat(all, (row) => this.#asks[row]!),
      rowsThat(all, (row) => !this.#asks[row]!),
    );
  }
}

function rowsThat({ embeddings, labels }: LabelledMatrix, isOne: (row: number) => boolean): LabelledMatrix {
  const rows = [...labels.keys()].filter(isOne);
  return { embeddings: takeRows(embeddings, rows), labels: rows.map((row) => labels[row]!) };
}
