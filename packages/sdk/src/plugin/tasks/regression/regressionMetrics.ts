/** @file How far predicted numbers are from the true ones. */

import { OnnxLoraError } from '../../../errors.ts';
import type { Feeds, Tensor } from '../../../runtime/tensor.ts';
import type { MetricCollector, MetricsNamed } from '../../dataset.ts';
import { scoresOf } from '../classification/scores.ts';
import { bootstrapIntervals, drawsFor } from '../statistics/bootstrap.ts';
import type { Measure } from '../statistics/measure.ts';
import { numberMeasure, type NumberScores } from '../statistics/numberMeasure.ts';

/** Metrics of {@link RegressionMetrics}. */
export type RegressionScores = MetricsNamed<'rmse' | 'mae' | 'r2' | 'spearman'>;

/** Sums up batches. Targets are `{ values: float32 [batch, outputs] }`. */
export class RegressionMetrics implements MetricCollector<RegressionScores> {
  readonly #output: string;
  readonly #predicted: number[][];
  readonly #true: number[][];

  /** `output` is a graph output `[batch, outputs]`. */
  constructor(output: string, outputs: number) {
    this.#output = output;
    this.#predicted = Array.from({ length: outputs }, () => []);
    this.#true = Array.from({ length: outputs }, () => []);
  }

  update(results: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const outputs = this.#predicted.length;
    const { data } = scoresOf(results, this.#output, outputs);
    const values = targets['values']?.data;
    if (!(values instanceof Float32Array) || values.length !== data.length) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Targets must hold "values" as float32 [batch, ${outputs}], one row for each of "${this.#output}". Pass those that collate made.`,
      );
    }
    data.forEach((value, i) => {
      this.#predicted[i % outputs]!.push(value);
      this.#true[i % outputs]!.push(values[i]!);
    });
  }

  /** `rmse`, `mae`, `r2` and `spearman`; of several numbers per example the mean over them. */
  result(): RegressionScores {
    return this.#measure()();
  }

  /** Intervals of the same, by a bootstrap over examples. */
  intervals(): ReturnType<typeof bootstrapIntervals> {
    const size = this.#predicted[0]!.length;
    return bootstrapIntervals(this.#measure(), size, { samples: drawsFor(size * this.#predicted.length) });
  }

  #measure(): Measure<RegressionScores> {
    const outputs = this.#predicted.map((predicted, i) => numberMeasure(predicted, this.#true[i]!));
    return (times) => {
      const each = outputs.map((measure) => measure(times));
      const mean = (name: keyof NumberScores): number => each.reduce((sum, one) => sum + one[name], 0) / each.length;
      return { rmse: mean('rmse'), mae: mean('mae'), r2: mean('r2'), spearman: mean('spearman') };
    };
  }

  /** The same for each number. */
  perOutput(): NumberScores[] {
    return this.#predicted.map((predicted, i) => numberMeasure(predicted, this.#true[i]!)());
  }

  /** `[true, predicted]` of one number, example by example. */
  pairs(output: number): (readonly [number, number])[] {
    return this.#true[output]!.map((truth, i) => [truth, this.#predicted[output]![i]!]);
  }
}
