/** @file Metrics of preferences: the loss, and rewards of answers. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { bootstrapDraws, type Draws, type MetricCollector, type MetricsNamed } from '@onnx-lora/sdk/tasks';
import { type RowSums, rowSums } from '../chat/runBatches.ts';
import type { PreferenceLossOptions } from './preferenceLoss.ts';

/** Scores of preferences; with compared answers also `accuracy`, with KTO `divergence`. */
export type PreferenceScores = MetricsNamed<'loss' | 'margin' | 'chosen' | 'rejected'>;

interface Compared {
  /** Per row: its log-probability, the reference's, and its number of tokens. */
  readonly rows: readonly { readonly said: number; readonly reference: number; readonly tokens: number }[];
  readonly isGood: boolean;
}

/**
 * Collects batches with the targets `labels` int64 `[2 · examples, tokens]`, `reference` float32 `[2 · examples]`, and
 * for KTO `isGood` float32 `[examples]`.
 */
export class PreferenceMetrics implements MetricCollector<PreferenceScores> {
  readonly #port: { readonly output: string; readonly size: number };
  readonly #options: PreferenceLossOptions;
  readonly #examples: Compared[] = [];

  /** @param port name and size of the logits */
  constructor(port: { readonly output: string; readonly size: number }, options: PreferenceLossOptions) {
    this.#port = port;
    this.#options = options;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { labels, reference, isGood } = targets;
    this.add(rowSums(outputs, labels!, this.#port), Array.from(reference!.data, Number), isGood);
  }

  /** Adds a batch by the sums of its rows. */
  add(sums: readonly RowSums[], reference: readonly number[], isGood: Tensor | undefined): void {
    for (let i = 0; i < sums.length; i += 2) {
      const rows = [i, i + 1].map((row) => {
        const { loss, tokens } = sums[row]!;
        return { said: -loss, reference: reference[row]!, tokens };
      });
      this.#examples.push({ rows, isGood: Number(isGood?.data[i / 2] ?? 1) === 1 });
    }
  }

  /**
   * `loss`: the training loss over all examples at once; `accuracy`: how often the chosen answer has the higher reward;
   * `margin`: by how much on average; `chosen` and `rejected`: mean rewards, β times the log-probability ratio to the
   * reference, or for ORPO β times the mean log-probability per token. For KTO, whose answers are labelled one by one,
   * `margin` is the difference of the mean rewards, and `divergence` the estimated one from the reference. All are NaN
   * without batches.
   */
  result(): PreferenceScores {
    return scoresOf(this.#examples, this.#options);
  }

  /** Bootstrap draws over examples. */
  draws(): Draws {
    const examples = this.#examples;
    return bootstrapDraws((times) => scoresOf(examples, this.#options, times), examples.length);
  }
}

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const log1mexp = (x: number): number => Math.log(-Math.expm1(Math.min(x, -1e-12)));

/** @param times weights of a bootstrap draw; 1 by default */
function scoresOf(
  examples: readonly Compared[],
  { loss = 'dpo', beta = 0.1, labelSmoothing = 0, desirableWeight = 1, undesirableWeight = 1 }: PreferenceLossOptions,
  times?: ArrayLike<number>,
): PreferenceScores {
  const weight = (i: number): number => times?.[i] ?? 1;
  const mean = (value: (example: Compared) => number, of: (example: Compared) => boolean = () => true): number => {
    let [sum, count] = [0, 0];
    for (const [i, example] of examples.entries()) {
      if (!of(example)) continue;
      sum += weight(i) * value(example);
      count += weight(i);
    }
    return sum / count;
  };
  const gain = ({ rows }: Compared, row: number): number => rows[row]!.said - rows[row]!.reference;
  const perToken = ({ rows }: Compared, row: number): number => rows[row]!.said / rows[row]!.tokens;
  if (loss === 'kto') {
    const divergence = Math.max(
      0,
      mean((example) => gain(example, 1)),
    );
    const cost = (example: Compared): number => {
      const x = beta * (gain(example, 0) - divergence);
      return example.isGood ? desirableWeight * sigmoid(-x) : undesirableWeight * sigmoid(x);
    };
    const reward = (isGood: boolean): number => beta * mean((example) => gain(example, 0), (each) => each.isGood === isGood); // prettier-ignore
    const [chosen, rejected] = [reward(true), reward(false)];
    return { loss: mean(cost), margin: chosen - rejected, chosen, rejected, divergence };
  }
  const reward = (example: Compared, row: number): number =>
    beta * (loss === 'orpo' ? perToken(example, row) : gain(example, row));
  const margin = (example: Compared): number => reward(example, 0) - reward(example, 1);
  const rewards = {
    accuracy: mean((example) => Number(margin(example) > 0)),
    margin: mean(margin),
    chosen: mean((example) => reward(example, 0)),
    rejected: mean((example) => reward(example, 1)),
  };
  if (loss === 'orpo') {
    const odds = (example: Compared): number => {
      const [chosen, rejected] = [perToken(example, 0), perToken(example, 1)];
      return chosen - rejected - (log1mexp(chosen) - log1mexp(rejected));
    };
    const likely = mean(({ rows }) => rows[0]!.said) / mean(({ rows }) => rows[0]!.tokens);
    return { loss: -likely + beta * mean((example) => softplus(-odds(example))), ...rewards };
  }
  const ofTokens = (example: Compared, row: number): number => gain(example, row) / example.rows[row]!.tokens;
  const cost = (example: Compared): number =>
    loss === 'ipo'
      ? (ofTokens(example, 0) - ofTokens(example, 1) - 1 / (2 * beta)) ** 2
      : (1 - labelSmoothing) * softplus(-margin(example)) + labelSmoothing * softplus(margin(example));
  return { loss: mean(cost), ...rewards };
}
