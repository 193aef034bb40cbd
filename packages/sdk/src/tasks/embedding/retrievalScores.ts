/** @file How well examples find others of their kind: recall at k, and mean average precision at R. */

import { type Matrix, matrix } from '../../linalg/matrix.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { MetricCollector } from '../../plugin/dataset.ts';
import type { MetricsNamed } from '../../statistics/measure.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
import { meanMeasure } from '../../statistics/measure.ts';
import { forNearest, type Nearest } from './neighbours.ts';
import { joinRows, matrixOf, l2Normalize, takeRows } from './rows.ts';

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
  forNearest({ features: right, isUnit: true }, left, wanted, use, gallery ? undefined : [...queries.labels.keys()]); // prettier-ignore
  return { asked, values };
}

/** Makes embeddings float32 `[batch, width]` of what a model gives for a batch. */
export type EmbeddingsOf = (outputs: Readonly<Record<string, Tensor>>, targets: Feeds) => Tensor;

/** The target that is 1 for examples that ask, and 0 for those that are there to be found, int64 `[batch]`. */
export const ASKS = 'asks';

/**
 * Every example searches all others, or where targets have `asks`, those that ask search the others. Targets have `labels`, int64
 * `[batch]`.
 */
export class RetrievalMetrics implements MetricCollector<RetrievalScores> {
  readonly #embeddingsOf: EmbeddingsOf;
  readonly #parts: Tensor[] = [];
  readonly #labels: number[] = [];
  readonly #asks: boolean[] = [];
  readonly #sizes: readonly number[];
  #scores: QueryScores | undefined;

  /**
   * `embeddingsOf` makes embeddings `[batch, width]` of the model's outputs.
   *
   * @param sizes widths at which their first numbers are measured alone, too: `recall@1 of 64`
   */
  constructor(embeddingsOf: EmbeddingsOf, sizes: readonly number[] = []) {
    this.#embeddingsOf = embeddingsOf;
    this.#sizes = sizes;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#scores = undefined;
    this.#parts.push(this.#embeddingsOf(outputs, targets));
    for (const label of targets['labels']!.data) this.#labels.push(Number(label));
    for (const asks of targets[ASKS]?.data ?? []) this.#asks.push(Number(asks) === 1);
  }

  /** `recall@1`, `recall@5`, `recall@10`, `mapAtR` and how many could ask: see {@link retrievalScores}. */
  result(): RetrievalScores {
    const { asked, values } = this.#byQuery();
    return { ...meanMeasure(values)(), queries: asked.length };
  }

  /** The same but for `queries`, on sets of those that ask; what they search stays the same. */
  draws(): Draws {
    const { asked, values } = this.#byQuery();
    return bootstrapDraws(meanMeasure(values), asked.length, { samples: drawsFor(asked.length) });
  }

  /** Found once for both. */
  #byQuery(): QueryScores {
    if (!this.#scores) {
      const embeddings = matrixOf(joinRows(this.#parts));
      const { asked, values } = this.#scoresOf(embeddings);
      const own = this.#sizes.map((size) => [`recall@1 of ${size}`, this.#scoresOf(firstColumns(embeddings, size)).values['recall@1']]); // prettier-ignore
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

/** The first columns of a matrix; all where it has no more. */
function firstColumns({ rows, columns, data }: Matrix, most: number): Matrix {
  const size = Math.min(most, columns);
  const result = matrix(rows, size);
  for (let row = 0; row < rows; row++) result.data.set(data.subarray(row * columns, row * columns + size), row * size);
  return result;
}

/** Some of the rows. */
function rowsThat({ embeddings, labels }: LabelledMatrix, isOne: (row: number) => boolean): LabelledMatrix {
  const rows = [...labels.keys()].filter(isOne);
  return { embeddings: takeRows(embeddings, rows), labels: rows.map((row) => labels[row]!) };
}
