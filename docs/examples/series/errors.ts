/** @file How far forecasts are off, beside those of methods that learn nothing. */

import type { Tensor } from '@onnx-lora/sdk';
import type { MetricCollector, Metrics } from '@onnx-lora/sdk/tasks';
import type { SeriesPreprocessor } from './preprocessor.ts';

/** Names of methods, each with a forecast `[batch, horizon, variables]`. */
type Forecasts = Readonly<Record<string, Tensor>>;

/**
 * A baseline forecast from windows `[batch, length, variables]` without a model: the last reading again, and with a
 * season the readings of one season ago.
 */
export function baselines({ data, dims }: Tensor, horizon: number, season?: number): Forecasts {
  const [batch, length, width] = dims as [number, number, number];
  const from = (row: (step: number) => number): Tensor => {
    const forecast = new Float32Array(batch * horizon * width);
    for (let b = 0; b < batch; b++)
      for (let step = 0; step < horizon; step++)
        for (let v = 0; v < width; v++)
          forecast[(b * horizon + step) * width + v] = Number(data[(b * length + row(step)) * width + v]);
    return { type: 'float32', dims: [batch, horizon, width], data: forecast };
  };
  return {
    naive: from(() => length - 1),
    ...(season !== undefined && { seasonalNaive: from((step) => length - season + (step % season)) }),
  };
}

/** Absolute errors by method, step and variable, in the units of the readings. */
export class ForecastErrors implements MetricCollector {
  readonly #sums = new Map<string, Float64Array>();
  readonly #preprocessor: SeriesPreprocessor;
  readonly #season: number | undefined;
  #count = 0;

  /** @param season rows after which readings repeat */
  constructor(preprocessor: SeriesPreprocessor, season?: number) {
    this.#preprocessor = preprocessor;
    this.#season = season;
  }

  /** Targets are `window` `[batch, length, variables]` and `future` `[batch, horizon, variables]`, scaled. */
  update(outputs: Readonly<Record<string, Tensor>>, targets: Readonly<Record<string, Tensor>>): void {
    const { horizon } = this.#preprocessor;
    const all = { model: outputs['forecast']!, ...baselines(targets['window']!, horizon, this.#season) };
    const truth = this.#preprocessor.unscaled(targets['future']!).data;
    for (const [method, forecast] of Object.entries(all)) {
      const { data, dims } = this.#preprocessor.unscaled(forecast);
      const size = dims[1]! * dims[2]!;
      const sums = this.#sums.get(method) ?? new Float64Array(size);
      data.forEach((value, i) => (sums[i % size]! += Math.abs(Number(value) - Number(truth[i]))));
      this.#sums.set(method, sums);
    }
    this.#count += targets['future']!.dims[0]!;
  }

  /**
   * `relativeError`: the model's mean absolute error over that of the naive forecast, mean over the variables; 1 is no better
   * than it. Then `seasonalRelativeError`, the same over the seasonal naive forecast, and the error of each variable.
   */
  result(): Metrics {
    const { names } = this.#preprocessor;
    const own = names.map((_, v) => this.#mean('model', v));
    const over = (method: string): number =>
      own.reduce((sum, each, v) => sum + each / this.#mean(method, v), 0) / own.length;
    return {
      relativeError: over('naive'),
      ...(this.#season !== undefined && { seasonalRelativeError: over('seasonalNaive') }),
      ...Object.fromEntries(names.map((name, v) => [`meanAbsoluteError:${name}`, own[v]!])),
    };
  }

  /** Mean absolute error of a variable by method, a number per step. */
  bySteps(variable: number): Readonly<Record<string, readonly number[]>> {
    const width = this.#preprocessor.names.length;
    const list = (sums: Float64Array): number[] =>
      Array.from(sums, (sum) => sum / this.#count).filter((_, i) => i % width === variable);
    return Object.fromEntries([...this.#sums].map(([method, sums]) => [method, list(sums)]));
  }

  #mean(method: string, variable: number): number {
    const steps = this.bySteps(variable)[method]!;
    return steps.reduce((sum, each) => sum + each, 0) / steps.length;
  }
}
