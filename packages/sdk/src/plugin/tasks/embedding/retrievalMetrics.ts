/** @file Collects embeddings of held-out examples and measures how well they find each other. */

import { matrix } from '../../../linalg/matrix.ts';
import type { Feeds, Tensor } from '../../../runtime/tensor.ts';
import type { MetricCollector } from '../../dataset.ts';
import { bootstrapIntervals, drawsFor } from '../statistics/bootstrap.ts';
import { meanMeasure } from '../statistics/measure.ts';
import { joinRows } from './joinRows.ts';
import { type QueryScores, type RetrievalScores, scoresByQuery } from './retrievalScores.ts';

/** Makes embeddings float32 `[batch, width]` of what a model gives for a batch. */
export type EmbeddingsOf = (outputs: Readonly<Record<string, Tensor>>, targets: Feeds) => Tensor;

/** Every example searches all others. Targets have `labels`, int64 `[batch]`. */
export class RetrievalMetrics implements MetricCollector<RetrievalScores> {
  readonly #embeddingsOf: EmbeddingsOf;
  readonly #parts: Tensor[] = [];
  readonly #labels: number[] = [];
  #scores: QueryScores | undefined;

  /** `embeddingsOf` makes embeddings `[batch, width]` of the model's outputs. */
  constructor(embeddingsOf: EmbeddingsOf) {
    this.#embeddingsOf = embeddingsOf;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#scores = undefined;
    this.#parts.push(this.#embeddingsOf(outputs, targets));
    for (const label of targets['labels']!.data) this.#labels.push(Number(label));
  }

  /** `recall@1`, `recall@5`, `recall@10`, `mapAtR` and how many could ask: see {@link retrievalScores}. */
  result(): RetrievalScores {
    const { asked, values } = this.#byQuery();
    return { ...meanMeasure(values)(), queries: asked.length };
  }

  /** Intervals of the same but for `queries`, by a bootstrap over those that ask; what they search stays the same. */
  intervals(): ReturnType<typeof bootstrapIntervals> {
    const { asked, values } = this.#byQuery();
    return bootstrapIntervals(meanMeasure(values), asked.length, { samples: drawsFor(asked.length) });
  }

  /** Found once for both. */
  #byQuery(): QueryScores {
    if (!this.#scores) {
      const { dims, data } = joinRows(this.#parts);
      const embeddings = matrix(dims[0]!, dims[1]!, data as Float32Array);
      this.#scores = scoresByQuery({ embeddings, labels: this.#labels });
    }
    return this.#scores;
  }
}
