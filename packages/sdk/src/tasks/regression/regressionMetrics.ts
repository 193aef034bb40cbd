/** @file Metrics of regression. */

import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics, MetricsNamed } from '../../statistics/measure.ts';
import { AnswerMetrics, MeasuredTally, wholeAnswers, targetsError } from '../answers/answerMetrics.ts';
import type { PartAnswer } from '../answers/joinedWindows.ts';
import { type Measure, pickMetrics } from '../../statistics/measure.ts';
import { numberMeasure, type NumberScores } from '../../statistics/numberMeasure.ts';

/** One output over all answers with a known truth. */
export interface NumberColumn {
  /** Predictions. */
  readonly predicted: number[];
  /** Truths. */
  readonly truths: number[];
  /** Index of each answer's record, in the order of arrival. */
  readonly records: number[];
}

/** Options of {@link NumberTally}. */
export interface NumberTallyOptions {
  /** Numbers per answer. */
  readonly outputs: number;
  /** Metrics, in order; rmse, mae, r2 and Spearman's correlation by default. */
  readonly metrics?: readonly (keyof NumberScores)[] | undefined;
}

/** Accumulates numbers; a truth of NaN is missing. */
export class NumberTally<Scores extends Metrics> extends MeasuredTally<readonly number[], Scores> {
  /** One column per output. */
  readonly columns: readonly NumberColumn[];
  readonly #options: NumberTallyOptions;
  #records = 0;

  /** An empty tally. */
  constructor(options: NumberTallyOptions) {
    super();
    this.#options = options;
    this.columns = Array.from({ length: options.outputs }, () => ({ predicted: [], truths: [], records: [] }));
  }

  add(_: number, answers: readonly PartAnswer<readonly number[]>[]): void {
    const record = this.#records++;
    for (const { truth, values } of answers) {
      for (const [i, { predicted, truths, records }] of this.columns.entries()) {
        if (Number.isNaN(truth[i]!)) continue;
        predicted.push(values[i]!);
        truths.push(truth[i]!);
        records.push(record);
      }
    }
  }

  protected get size(): { records: number; cells: number } {
    return { records: this.#records, cells: this.columns.reduce((sum, { truths }) => sum + truths.length, 0) };
  }

  /** Averages over the outputs. */
  protected measure(): Measure<Scores> {
    const { metrics = ['rmse', 'mae', 'r2', 'spearman'] } = this.#options;
    const each = this.columns.map(({ predicted, truths, records }) => {
      const measure = numberMeasure(predicted, truths);
      return (times?: ArrayLike<number>) => measure(times && records.map((record) => times[record]!));
    });
    return (times) => {
      const found = each.map((measure) => measure(times));
      const means = metrics.map((name) => [name, found.reduce((sum, own) => sum + own[name], 0) / found.length]);
      return pickMetrics<Scores>(Object.fromEntries(means) as Metrics, metrics);
    };
  }
}

/** Metrics of {@link RegressionMetrics}. */
export type RegressionScores = MetricsNamed<'rmse' | 'mae' | 'r2' | 'spearman'>;

/** Regression metrics. Targets are those of `valueTargets`, and `recordTargets` for averaging windows. */
export class RegressionMetrics<Scores extends Metrics = RegressionScores> extends AnswerMetrics<
  readonly number[],
  Scores,
  NumberTally<Scores>
> {
  /** `output` is a graph output `[batch, outputs]`. */
  constructor(output: string, outputs: number, options: Omit<NumberTallyOptions, 'outputs'> = {}) {
    const truthsOf = ({ values, known }: Parameters<MetricCollector['update']>[1], rows: number): number[][] => {
      const data = values?.data;
      if (!(data instanceof Float32Array) || data.length !== rows * outputs)
        throw targetsError(`"values" as float32 [batch, ${outputs}], one row for each of "${output}"`);
      const truths = Array.from(data, (value, i) => (known?.data[i] === 0 ? Number.NaN : value));
      return Array.from({ length: rows }, (_, row) => truths.slice(row * outputs, (row + 1) * outputs));
    };
    super(wholeAnswers({ output, width: outputs, truthsOf }), new NumberTally({ ...options, outputs }));
  }

  /** The metrics of each output. */
  perOutput(): NumberScores[] {
    return this.tally.columns.map(({ predicted, truths }) => numberMeasure(predicted, truths)());
  }

  /** `[true, predicted]` of one output, per answer. */
  pairs(output: number): (readonly [number, number])[] {
    const { truths, predicted } = this.tally.columns[output]!;
    return truths.map((truth, i) => [truth, predicted[i]!]);
  }
}
