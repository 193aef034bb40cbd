/** @file The exponential moving average of parameters. */

import { float32 } from '../runtime/tensor.ts';
import { savedFloats } from './optimizers/memory.ts';
import { numberIn } from '../checks.ts';
import type { ParameterSet } from './parameters.ts';
import type { Transformation, TransformationState } from './transformation.ts';
import { slices } from './turns.ts';

/** Settings of an exponential moving average. */
export interface EmaOptions {
  /** How much of the average stays in each step; 0.999 by default. */
  readonly decay?: number;
  /**
   * Let the average follow faster at first: the decay is at most `(1 + n) / (10 + n)` after n steps, so that the first
   * values are soon forgotten; true by default.
   */
  readonly warmup?: boolean;
}

/**
 * An average of the parameters over the last steps, which often does better on new data than the last step itself.
 *
 * @see torch.optim.swa_utils.get_ema_avg_fn, and for the warm-up tf.train.ExponentialMovingAverage
 */
export class Ema implements Transformation {
  readonly name = 'ema';
  readonly #decay: number;
  readonly #warmup: boolean;
  readonly #averages = new Map<string, Float32Array>();
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a decay out of its range */
  constructor({ decay = 0.999, warmup = true }: EmaOptions = {}) {
    this.#decay = numberIn('ema.decay', decay, 0, 1);
    this.#warmup = warmup;
  }

  /** Starts from these parameters, unless it has started. */
  begin(parameters: ParameterSet): void {
    for (const { input, value } of parameters.all)
      if (!this.#averages.has(input.name)) this.#averages.set(input.name, value.slice());
  }

  /** Takes a step's parameters into the average. */
  *after(parameters: ParameterSet): Generator<void, void> {
    const n = ++this.#steps;
    const decay = this.#warmup ? Math.min(this.#decay, (1 + n) / (10 + n)) : this.#decay;
    for (const { input, value } of parameters.all) {
      const average = this.#averages.get(input.name)!;
      yield* slices(value.length, (from, to) => {
        for (let i = from; i < to; i++) average[i]! += (1 - decay) * (value[i]! - average[i]!);
      });
    }
  }

  averaged(current: ParameterSet): ParameterSet {
    return current.withValues(this.#averages);
  }

  state(): TransformationState {
    const tensors = [...this.#averages].map(([name, average]) => [name, float32(average, [average.length])] as const);
    return { tensors: new Map(tensors), steps: this.#steps };
  }

  load({ tensors, steps }: TransformationState, parameters: ParameterSet): void {
    const loaded = parameters.all.map(
      ({ input, value }) => [input.name, savedFloats(tensors, input.name, value.length).slice()] as const,
    );
    this.#averages.clear();
    for (const [name, average] of loaded) this.#averages.set(name, average);
    this.#steps = steps;
  }
}
