/** @file Accuracy, macro-F1, cross-entropy and the confusion matrix of a classifier. */

import { OnnxLoraError } from '../../../errors.ts';
import type { Feeds, Tensor } from '../../../runtime/tensor.ts';
import type { MetricCollector, Metrics } from '../../task.ts';
import { bestClasses, logSumExp, scoresOf } from './scores.ts';

/** What a collector must know of the task. */
export interface ClassificationMetricsOptions {
  /** Name of the graph output `[batch, classes]`. */
  readonly output: string;
  /** Names of all classes of the model. */
  readonly labels: readonly string[];
  /** Classes that the data has, for the confusion matrix; those that are predicted join them. */
  readonly present: Iterable<number>;
  /** What scores are divided by before they become probabilities; 1 by default. It changes the loss alone. */
  readonly temperature?: number;
}

/** Sums up batches. Targets are `{ labels: int64 [batch] }`. */
export class ClassificationMetrics implements MetricCollector {
  readonly #output: string;
  readonly #labels: readonly string[];
  /** Classes in the data or predicted. */
  readonly #seen: Set<number>;
  /** Examples by true class, then predicted class; sparse, since a model may have thousands of classes. */
  readonly #counts = new Map<number, Map<number, number>>();
  #examples = 0;
  #correct = 0;
  #correctInFive = 0;
  #loss = 0;
  readonly #temperature: number;

  /** For the classes that are present in the data; see {@link ClassificationMetricsOptions}. */
  constructor({ output, labels, present, temperature = 1 }: ClassificationMetricsOptions) {
    this.#temperature = temperature;
    this.#output = output;
    this.#labels = labels;
    this.#seen = new Set(present);
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { rows, classes, data } = scoresOf(outputs, this.#output, this.#labels.length);
    const truth = targets['labels']?.data;
    if (!(truth instanceof BigInt64Array) || truth.length !== rows) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Targets must hold "labels" as int64 [${rows}], one per row of "${this.#output}". Pass those that collate made.`,
      );
    }
    for (let i = 0; i < rows; i++) {
      const row = data.subarray(i * classes, (i + 1) * classes);
      this.#add(row, Number(truth[i]));
    }
  }

  #add(row: Float32Array, truth: number): void {
    const best = bestClasses(row, 5);
    const predicted = best[0]!;
    this.#examples++;
    if (predicted === truth) this.#correct++;
    if (best.includes(truth)) this.#correctInFive++;
    this.#loss += logSumExp(row.map((score) => score / this.#temperature)) - row[truth]! / this.#temperature;
    this.#seen.add(truth).add(predicted);
    const counts = this.#counts.get(truth) ?? new Map<number, number>();
    this.#counts.set(truth, counts.set(predicted, (counts.get(predicted) ?? 0) + 1));
  }

  /**
   * `accuracy`, `top5` (only with more than five classes), `macroF1` and `loss` (mean cross-entropy in nats). All are
   * NaN before the first example.
   */
  result(): Metrics {
    const n = this.#examples;
    return {
      accuracy: this.#correct / n,
      ...(this.#labels.length > 5 && { top5: this.#correctInFive / n }),
      macroF1: n === 0 ? Number.NaN : this.#macroF1(),
      loss: this.#loss / n,
    };
  }

  /** Classes of the data and those predicted, in the model's order. */
  confusion(): { labels: readonly string[]; counts: readonly (readonly number[])[] } {
    const classes = [...this.#seen].sort((a, b) => a - b);
    return {
      labels: classes.map((c) => this.#labels[c] ?? String(c)),
      counts: classes.map((truth) => classes.map((predicted) => this.#counts.get(truth)?.get(predicted) ?? 0)),
    };
  }

  /** Mean of F1 = 2 tp / (2 tp + fp + fn) over the classes that occur, as the truth or as an answer. */
  #macroF1(): number {
    const truths = new Map<number, number>();
    const answers = new Map<number, number>();
    for (const [truth, row] of this.#counts) {
      for (const [predicted, count] of row) {
        truths.set(truth, (truths.get(truth) ?? 0) + count);
        answers.set(predicted, (answers.get(predicted) ?? 0) + count);
      }
    }
    const occurring = new Set([...truths.keys(), ...answers.keys()]);
    let sum = 0;
    for (const c of occurring) {
      // tp + fn are the examples of the class, tp + fp the answers that name it.
      sum += (2 * (this.#counts.get(c)?.get(c) ?? 0)) / ((truths.get(c) ?? 0) + (answers.get(c) ?? 0));
    }
    return sum / occurring.size;
  }
}
