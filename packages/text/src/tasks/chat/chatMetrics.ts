/** @file Metrics of language modelling: loss, and perplexities by token and by byte. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { bootstrapDraws, type Draws, type MetricCollector, type MetricsNamed } from '@onnx-lora/sdk/tasks';
import { rowSums } from './runBatches.ts';
import { NOT_LEARNED } from './sftRows.ts';

/** Scores of a language model; with generated answers also `exactMatch`, `f1` and `rougeL`. */
export type ChatScores = MetricsNamed<'loss' | 'perplexity' | 'bytePerplexity' | 'accuracy'>;

interface Sums {
  loss: number;
  right: number;
  tokens: number;
  bytes: number;
}

/** The number of learned tokens in a batch. */
export function learnedTokens({ labels }: Feeds): number {
  let count = 0;
  for (const label of labels!.data) if (Number(label) !== NOT_LEARNED) count++;
  return count;
}

/**
 * Collects batches with the targets `labels` int64 `[batch, tokens]`, the next tokens; `records` int64 `[batch]`, the
 * index of each row's record; and `bytes` int64 `[batch]`, the length of the learned text.
 */
export class ChatMetrics implements MetricCollector<ChatScores> {
  readonly #output: string;
  readonly #size: number;
  readonly #records = new Map<number, Sums>();

  /** @param output name of the logits, float32 `[batch, tokens, size]` */
  constructor(output: string, size: number) {
    this.#output = output;
    this.#size = size;
  }

  update(outputs: Readonly<Record<string, Tensor>>, { labels, records, bytes }: Feeds): void {
    const rows = rowSums(outputs, labels!, { output: this.#output, size: this.#size });
    for (const [row, { loss, right, tokens }] of rows.entries()) {
      const record = Number(records!.data[row]);
      const sums = this.#records.get(record) ?? { loss: 0, right: 0, tokens: 0, bytes: 0 };
      this.#records.set(record, sums);
      sums.loss += loss;
      sums.right += right;
      sums.tokens += tokens;
      sums.bytes += Number(bytes!.data[row]);
    }
  }

  /**
   * `loss`: mean cross-entropy in nats of the learned tokens; `perplexity`: its exponential; `bytePerplexity`: the same
   * per byte, which compares models with different tokenizers; `accuracy`: fraction of tokens predicted as the
   * likeliest. All are NaN without batches.
   */
  result(): ChatScores {
    return scoresOf([...this.#records.values()]);
  }

  /** Bootstrap draws over records, since tokens of one answer depend on each other. */
  draws(): Draws {
    const records = [...this.#records.values()];
    return bootstrapDraws((times) => scoresOf(records, times), records.length);
  }
}

/** @param times weights of a bootstrap draw; 1 by default */
function scoresOf(records: readonly Sums[], times?: ArrayLike<number>): ChatScores {
  const total = { loss: 0, right: 0, tokens: 0, bytes: 0 };
  for (const [i, sums] of records.entries())
    for (const part of ['loss', 'right', 'tokens', 'bytes'] as const) total[part] += (times?.[i] ?? 1) * sums[part];
  const loss = total.loss / total.tokens;
  return {
    loss,
    perplexity: Math.exp(loss),
    bytePerplexity: Math.exp(total.loss / total.bytes),
    accuracy: total.right / total.tokens,
  };
}
