/** @file A collector of metrics that can take the answers of several adapters together. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import type { MetricCollector } from '@onnx-lora/sdk/tasks';

/** Knows how answers are averaged: not the scores, but what they say, such as probabilities. */
export interface EnsembleCollector extends MetricCollector {
  /** Takes in what each adapter gave for one batch, as one answer: the mean of what they say. */
  updateTogether(members: readonly Readonly<Record<string, Tensor>>[], targets: Feeds): void;
}

/** Whether a collector can do so. */
export function isEnsembleCollector(collector: MetricCollector): collector is EnsembleCollector {
  return 'updateTogether' in collector;
}
