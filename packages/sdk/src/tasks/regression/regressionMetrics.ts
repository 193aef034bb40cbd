/** @file How far predicted numbers are from the true ones. */

import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics, MetricsNamed } from '../../statistics/measure.ts';
import { AnswerMetrics, MeasuredTally, wholeAnswers, wrongTargets } from '../answers/answerMetrics.ts';
import type { PartAnswer } from '../answers/joinedWindows.ts';
import { type Measure, pickMetrics } from '../../statistics/measure.ts';
import { numberMeasure, type NumberScores } from '../../statistics/numberMeasure.ts';

/** One number of all answers, without those of which the truth is not known. */
export interface NumberColumn {
  /** What was predicted. */
  readonly predicted: number[];
  /** What is true. */
  readonly truths: number[];
  /** Which record each is of, from 0 in the order in which they came. */
  readonly records: number[];
}

/** How numbers are counted. */
export interface NumberTallyOptions {
  /** Numbers of an answer. */
  readonly outputs: number;
  /** What is measured, in its order: rmse, mae, r2 and Spearman's correlation by default. */
  readonly metrics?: readonly (keyof NumberScores)[] | undefined;
}

/** Numbers, record by record; the truth is NaN where it is not known. */
export class NumberTally<Scores extends Metrics> extends MeasuredTally<readonly number[], Scores> {
  /** By number. */
  readonly columns: readonly NumberColumn[];
  readonly #options: NumberTallyOptions;
  #records = 0;

  /** See {@link NumberTallyOptions}. */
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

  /** Of several numbers per answer the mean over them. */
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

/**
 * Sums up batches. Targets are those of `valueTargets`, and of `recordTargets` where records may be several windows: their
 * numbers are averaged.
 */
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
        throw wrongTargets(`"values" as float32 [batch, ${outputs}], one row for each of "${output}"`);
      const truths = Array.from(data, (value, i) => (known?.data[i] === 0 ? Number.NaN : value));
      return Array.from({ length: rows }, (_, row) => truths.slice(row * outputs, (row + 1) * outputs));
    };
    super(wholeAnswers({ output, width: outputs, truthsOf }), new NumberTally({ ...options, outputs }));
  }

  /** The same for each number. */
  perOutput(): NumberScores[] {
    return this.tally.columns.map(({ predicted, truths }) => numberMeasure(predicted, truths)());
  }

  /** `[true, predicted]` of one number, answer by answer. */
  pairs(output: number): (readonly [number, number])[] {
    const { truths, predicted } = this.tally.columns[output]!;
    return truths.map((truth, i) => [truth, predicted[i]!]);
  }
}
