/** @file How well embeddings of pairs find each other, or agree with scores. */

import type { Tensor } from '@onnx-lora/sdk';
import { joinRows, type MetricCollector, type Metrics, spearman } from '@onnx-lora/sdk/tasks';

/** Embeddings `[rows, width]` of one batch: all texts, then all partners. */
export type PairEmbeddings = (
  outputs: Readonly<Record<string, Tensor>>,
  targets: Readonly<Record<string, Tensor>>,
) => {
  readonly texts: Tensor;
  readonly partners: Tensor;
};

/** Gathers the embeddings of all held-out pairs. */
export class PairMetrics implements MetricCollector {
  readonly #embeddingsOf: PairEmbeddings;
  readonly #texts: Tensor[] = [];
  readonly #partners: Tensor[] = [];
  readonly #scores: number[] = [];

  constructor(embeddingsOf: PairEmbeddings) {
    this.#embeddingsOf = embeddingsOf;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Readonly<Record<string, Tensor>>): void {
    const { texts, partners } = this.#embeddingsOf(outputs, targets);
    this.#texts.push(texts);
    this.#partners.push(partners);
    for (const score of targets['scores']?.data ?? []) this.#scores.push(Number(score));
  }

  /**
   * With scores `spearman`, their correlation with the cosines. Without, each text searches among all partners:
   * `accuracy@1` says how often its own comes first, `mrr` is the mean of 1 / its rank.
   */
  result(): Metrics {
    const [texts, partners] = [joinRows(this.#texts), joinRows(this.#partners)];
    const count = texts.dims[0]!;
    if (this.#scores.length > 0)
      return { spearman: spearman(Array.from({ length: count }, (_, i) => cosine(texts, i, partners, i)), this.#scores) }; // prettier-ignore
    const ranks = Array.from({ length: count }, (_, i) => rankOfOwn(texts, partners, i));
    const mean = (of: (rank: number) => number): number => ranks.reduce((sum, rank) => sum + of(rank), 0) / count;
    return { 'accuracy@1': mean((rank) => Number(rank === 1)), mrr: mean((rank) => 1 / rank) };
  }
}

/** 1 where none is nearer; those that are as near come before it, so that equal embeddings find nothing. */
function rankOfOwn(texts: Tensor, partners: Tensor, i: number): number {
  const own = cosine(texts, i, partners, i);
  let rank = 1;
  for (let j = 0; j < partners.dims[0]!; j++) if (j !== i && cosine(texts, i, partners, j) >= own) rank++;
  return rank;
}

/** For rows of length 1. */
function cosine(a: Tensor, i: number, b: Tensor, j: number): number {
  const width = a.dims[1]!;
  let sum = 0;
  for (let k = 0; k < width; k++) sum += Number(a.data[i * width + k]) * Number(b.data[j * width + k]);
  return sum;
}
