/** @file How well a decoder continues transcripts that it is fed: what is measured during training. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { MetricCollector, MetricsNamed } from '@onnx-lora/sdk/tasks';
import { IGNORED } from './recognitionBatch.ts';

/** Metrics of {@link TeacherForcedMetrics}. */
export type TeacherForcedScores = MetricsNamed<'loss' | 'tokenAccuracy'>;

/**
 * Mean cross-entropy of the labels, and the share of them that the best score names. Each token is asked for after the true
 * ones before it, so this takes one pass; error rates of text that the model writes by itself take many.
 */
export class TeacherForcedMetrics implements MetricCollector<TeacherForcedScores> {
  readonly #logits: string;
  #loss = 0;
  #right = 0;
  #count = 0;

  /** @param logits name of the output */
  constructor(logits: string) {
    this.#logits = logits;
  }

  update(outputs: Readonly<Record<string, Tensor>>, { labels }: Feeds): void {
    const logits = outputs[this.#logits];
    const vocabulary = logits?.dims[2];
    const rows = labels!.data as BigInt64Array;
    if (!logits || vocabulary === undefined || logits.data.length !== rows.length * vocabulary) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The output "${this.#logits}" is [${logits?.dims.join(', ')}], and labels are [${labels!.dims.join(', ')}]: it must have scores for each label.`,
      );
    }
    const scores = logits.data as Float32Array;
    for (const [row, label] of rows.entries()) {
      if (Number(label) === IGNORED) continue;
      const { best, logSum } = scan(scores, row * vocabulary, vocabulary);
      this.#loss += logSum - scores[row * vocabulary + Number(label)]!;
      if (best === Number(label)) this.#right++;
      this.#count++;
    }
  }

  result(): TeacherForcedScores {
    return { loss: this.#loss / this.#count, tokenAccuracy: this.#right / this.#count };
  }
}

/** Where the highest score is, and the logarithm of the sum of all exponentials. */
function scan(scores: Float32Array, from: number, size: number): { readonly best: number; readonly logSum: number } {
  let best = 0;
  for (let i = 1; i < size; i++) if (scores[from + i]! > scores[from + best]!) best = i;
  const highest = scores[from + best]!;
  let sum = 0;
  for (let i = 0; i < size; i++) sum += Math.exp(scores[from + i]! - highest);
  return { best, logSum: highest + Math.log(sum) };
}
