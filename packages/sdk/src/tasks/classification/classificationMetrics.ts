/** @file Accuracy, macro-F1, cross-entropy and confusion matrix of a classifier. */

import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics, MetricsNamed } from '../../statistics/measure.ts';
import { AnswerMetrics, MeasuredTally, wholeAnswers, targetsError } from '../answers/answerMetrics.ts';
import { meanClasses, type PartAnswer } from '../answers/joinedWindows.ts';
import { areaMeasure, type ClassScores, namedMeasure, softmaxRows } from '../../statistics/classMeasure.ts';
import { type Measure, pickMetrics } from '../../statistics/measure.ts';
import { bestClasses, logSumExp } from './scores.ts';

/** Metrics of classes; `top5` only with more than five classes. */
export type ClassMetricName = keyof ClassScores | 'top5';

/** Options of {@link ClassTally}. */
export interface ClassTallyOptions {
  /** Names of all classes. */
  readonly labels: readonly string[];
  /** Metrics, in order; by default accuracy, macro-F1 and loss, and `top5` with more than five classes. */
  readonly metrics?: readonly ClassMetricName[] | undefined;
  /** Classes to show in the confusion matrix, besides those that occur as truths or answers. */
  readonly present?: Iterable<number>;
}

interface Cell {
  readonly record: number;
  readonly truth: number;
  readonly answer: number;
  count: number;
  inFive: number;
  loss: number;
}

/** Counts answers by true and predicted class, since records may have millions of parts. */
export class ClassTally<Scores extends Metrics = Metrics> extends MeasuredTally<number, Scores> {
  readonly #options: ClassTallyOptions;
  readonly #names: readonly ClassMetricName[];
  readonly #cells = new Map<string, Cell>();
  /** Scores of each record, for areas under curves. */
  readonly #ranked: PartAnswer[] = [];
  #records = 0;

  /** An empty tally. */
  constructor(options: ClassTallyOptions) {
    const { labels, metrics = ['accuracy', 'top5', 'macroF1', 'loss'] } = options;
    super();
    this.#options = options;
    this.#names = metrics.filter((name) => name !== 'top5' || labels.length > 5);
  }

  add(_: number, answers: readonly PartAnswer[]): void {
    const record = this.#records++;
    for (const answer of answers) {
      const { truth, values } = answer;
      const best = bestClasses(values, 5);
      this.count(record, truth, best[0]!, {
        inFive: best.includes(truth),
        loss: logSumExp(values) - values[truth]!,
      });
      if (this.#hasAreas) this.#ranked.push(answer);
    }
  }

  /** Adds an answer without scores, such as a baseline's guess. */
  count(
    record: number,
    truth: number,
    answer: number,
    { inFive = false, loss = Number.NaN }: { readonly inFive?: boolean; readonly loss?: number } = {},
  ): void {
    this.#records = Math.max(this.#records, record + 1);
    const key = `${record} ${truth} ${answer}`;
    const cell = this.#cells.get(key) ?? { record, truth, answer, count: 0, inFive: 0, loss: 0 };
    this.#cells.set(key, cell);
    cell.count++;
    cell.inFive += Number(inFive);
    cell.loss += loss;
  }

  get #hasAreas(): boolean {
    return this.#names.includes('auroc') || this.#names.includes('auprc');
  }

  protected get size(): { records: number; cells: number } {
    const cells = this.#hasAreas ? this.#ranked.length * this.#options.labels.length : this.#cells.size;
    return { records: this.#records, cells };
  }

  /** Classes that are present, true or predicted, in the model's order. */
  confusion(): ReturnType<NonNullable<MetricCollector['confusion']>> {
    const { labels, present = [] } = this.#options;
    const cells = [...this.#cells.values()];
    const seen = [...new Set([...present, ...cells.flatMap(({ truth, answer }) => [truth, answer])])].sort((a, b) => a - b); // prettier-ignore
    const at = new Map(seen.map((c, i) => [c, i]));
    const counts = seen.map(() => seen.map(() => 0));
    for (const { truth, answer, count } of cells) counts[at.get(truth)!]![at.get(answer)!]! += count;
    return { labels: seen.map((c) => labels[c] ?? String(c)), counts };
  }

  /** NaN before the first example. */
  protected measure(): Measure<Scores> {
    const classes = this.#options.labels.length;
    const cells = [...this.#cells.values()];
    const named = namedMeasure({
      classes,
      truths: cells.map(({ truth }) => truth),
      answers: cells.map(({ answer }) => answer),
      losses: cells.map(({ loss, count }) => loss / count),
    });
    const probabilities = new Float64Array(this.#ranked.length * classes);
    this.#ranked.forEach(({ values }, i) => probabilities.set(softmaxRows(values, classes), i * classes));
    const areas = this.#hasAreas
      ? areaMeasure({ classes, truths: this.#ranked.map(({ truth }) => truth), probabilities })
      : undefined;
    return (times) => {
      const weights = cells.map(({ record, count }) => count * (times ? times[record]! : 1));
      let [all, inFive] = [0, 0];
      for (const [i, weight] of weights.entries()) {
        all += weight;
        inFive += (weight * cells[i]!.inFive) / cells[i]!.count;
      }
      return pickMetrics<Scores>({ ...named(weights), top5: inFive / all, ...areas?.(times) }, this.#names);
    };
  }
}

/** Options of {@link ClassificationMetrics}. */
export interface ClassificationMetricsOptions extends ClassTallyOptions {
  /** Name of the graph output `[batch, classes]`. */
  readonly output: string;
  /** Divisor of the scores; 1 by default. It affects only the loss. */
  readonly temperature?: number;
}

/** Metrics of {@link ClassificationMetrics}; with more than five classes also `top5`. */
export type ClassificationScores = MetricsNamed<'accuracy' | 'macroF1' | 'loss'>;

/** Single-label metrics. Targets are `{ labels: int64 [batch] }`, and `recordTargets` for averaging windows. */
export class ClassificationMetrics<Scores extends Metrics = ClassificationScores> extends AnswerMetrics<
  number,
  Scores,
  ClassTally<Scores>
> {
  /** For the classes of a task; see {@link ClassificationMetricsOptions}. */
  constructor({ output, temperature, ...options }: ClassificationMetricsOptions) {
    const width = options.labels.length;
    const truthsOf = ({ labels }: Parameters<MetricCollector['update']>[1], rows: number): number[] => {
      if (labels?.data instanceof BigInt64Array && labels.data.length === rows) return Array.from(labels.data, Number);
      throw targetsError(`"labels" as int64 [${rows}], one per row of "${output}"`);
    };
    const mean = meanClasses;
    super(
      wholeAnswers({ output, width, truthsOf, mean, ...(temperature === undefined ? {} : { temperature }) }),
      new ClassTally(options),
      mean,
    );
  }

  /** Classes of the data and predicted classes, in the model's order. */
  override readonly confusion = (): ReturnType<ClassTally['confusion']> => this.tally.confusion();
}
