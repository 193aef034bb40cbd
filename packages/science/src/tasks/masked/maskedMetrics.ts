/** @file How well a model guesses masked tokens. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import type { MetricCollector } from '@onnx-lora/sdk/tasks';
import { tokenOutput } from '../outputOfTokens.ts';
import { GuessSums, type GuessScores } from './guessSums.ts';
import type { MaskedPort } from './maskedPort.ts';
import { eachAsked } from './maskedTargets.ts';

/** Sums up batches. Targets are those of `maskedTargets`. */
export class MaskedMetrics implements MetricCollector<GuessScores> {
  readonly guesses: GuessSums = new GuessSums();
  readonly #port: MaskedPort;
  readonly #seed: number;

  /** @param seed of the bootstrap */
  constructor(port: MaskedPort, seed: number) {
    this.#port = port;
    this.#seed = seed;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const scores = tokenOutput(outputs, this.#port.output, this.#port.size);
    for (const { row, at, record, token } of eachAsked(targets))
      this.guesses.addScores(record, token, scores.at(row, at));
  }

  /**
   * `loss`, the mean cross-entropy in nats over all masked tokens; `perplexity`, its exponential: among so many tokens, all as
   * likely, the model chooses; and `accuracy`, the share of tokens whose best guess is right. All are NaN before the first.
   */
  result(): GuessScores {
    return this.guesses.scores();
  }

  intervals(): ReturnType<NonNullable<MetricCollector['intervals']>> {
    return this.guesses.intervals(this.#seed);
  }
}
