/** @file Collects embeddings of held-out images and measures how well they find each other. */

import { matrix, type MetricCollector, type Metrics, type Tensor, type Feeds } from '@onnx-lora/sdk';
import type { Features } from '../features.ts';
import { joinRows } from '../joinRows.ts';
import { pooledRows } from '../pooling.ts';
import { retrievalScores } from './retrievalScores.ts';

/** Every image searches all others. Targets are `{ labels: int64 [batch] }`. */
export class RetrievalMetrics implements MetricCollector {
  readonly #features: Features;
  readonly #parts: Tensor[] = [];
  readonly #labels: number[] = [];

  constructor(features: Features) {
    this.#features = features;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#parts.push(pooledRows(outputs, this.#features));
    for (const label of targets['labels']!.data) this.#labels.push(Number(label));
  }

  /** `recall@1`, `recall@5`, `recall@10`, `mapAtR` and how many images could ask: see {@link retrievalScores}. */
  result(): Metrics {
    const { dims, data } = joinRows(this.#parts);
    const embeddings = matrix(dims[0]!, dims[1]!, data as Float32Array);
    return retrievalScores({ embeddings, labels: this.#labels });
  }
}
