/** @file Exponential moving average of parameters. */

import { float32 } from '../runtime/tensor.ts';
import { savedFloats } from './optimizers/memory.ts';
import { numberIn } from '../checks.ts';
import type { ParameterSet } from './parameters.ts';
import type { Transformation, TransformationState } from './transformation.ts';
import { slices } from './slices.ts';

/** Settings of an exponential moving average. */
export interface EmaOptions {
  /** Share of the average kept in each step; 0.999 by default. */
  readonly decay?: number;
  /** Whether the decay is at most `(1 + n) / (10 + n)` after n steps, to forget first values; true by default. */
  readonly warmup?: boolean;
}

/** Moving average of parameters, as torch's get_ema_avg_fn with the warm-up of tf.train.ExponentialMovingAverage. */
export class Ema implements Transformation {
  readonly name = 'ema';
  readonly #decay: number;
  readonly #warmup: boolean;
  readonly #averages = new Map<string, Float32Array>();
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a decay out of range */
  constructor({ decay = 0.999, warmup = true }: EmaOptions = {}) {
    this.#decay = numberIn('ema.decay', decay, 0, 1);
    this.#warmup = warmup;
  }

  /** Starts from these parameters, if not started. */
  begin(parameters: ParameterSet): void {
    for (const { input, value } of parameters.all)
      if (!this.#averages.has(input.name)) this.#averages.set(input.name, value.slice());
  }

  /** Adds a step's parameters to the average. */
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
