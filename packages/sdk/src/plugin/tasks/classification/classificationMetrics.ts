/** @file Accuracy, macro-F1, cross-entropy and the confusion matrix of a classifier. */

import { OnnxLoraError } from '../../../errors.ts';
import type { Feeds, Tensor } from '../../../runtime/tensor.ts';
import type { MetricCollector, MetricsNamed } from '../../dataset.ts';
import { bootstrapIntervals, drawsFor } from '../statistics/bootstrap.ts';
import type { Measure } from '../statistics/measure.ts';
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

/** Metrics of {@link ClassificationMetrics}; with more than five classes there is also `top5`. */
export type ClassificationScores = MetricsNamed<'accuracy' | 'macroF1' | 'loss'>;

/** Sums up batches. Targets are `{ labels: int64 [batch] }`. */
export class ClassificationMetrics implements MetricCollector<ClassificationScores> {
  readonly #output: string;
  readonly #labels: readonly string[];
  /** Classes in the data or predicted. */
  readonly #seen: Set<number>;
  /** By example: its class, the one that is predicted, whether its class is among the first five, its cross-entropy. */
  readonly #truths: number[] = [];
  readonly #answers: number[] = [];
  readonly #inFive: boolean[] = [];
  readonly #losses: number[] = [];
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
    this.#truths.push(truth);
    this.#answers.push(predicted);
    this.#inFive.push(best.includes(truth));
    this.#losses.push(logSumExp(row.map((score) => score / this.#temperature)) - row[truth]! / this.#temperature);
    this.#seen.add(truth).add(predicted);
  }

  /**
   * `accuracy`, `top5` (only with more than five classes), `macroF1` and `loss` (mean cross-entropy in nats). All are
   * NaN before the first example.
   */
  result(): ClassificationScores {
    return this.#measure()();
  }

  /** Intervals of the same, by a bootstrap over examples. */
  intervals(): ReturnType<typeof bootstrapIntervals> {
    const size = this.#truths.length;
    return bootstrapIntervals(this.#measure(), size, { samples: drawsFor(size) });
  }

  /** Classes of the data and those predicted, in the model's order. */
  confusion(): { labels: readonly string[]; counts: readonly (readonly number[])[] } {
    const { classes, at } = this.#classes();
    const counts = classes.map(() => classes.map(() => 0));
    this.#truths.forEach((truth, i) => counts[at.get(truth)!]![at.get(this.#answers[i]!)!]!++);
    return { labels: classes.map((c) => this.#labels[c] ?? String(c)), counts };
  }

  /** The classes that were seen, in the model's order, and the place of each among them. */
  #classes(): { readonly classes: readonly number[]; readonly at: ReadonlyMap<number, number> } {
    const classes = [...this.#seen].sort((a, b) => a - b);
    return { classes, at: new Map(classes.map((c, i) => [c, i])) };
  }

  #measure(): Measure<ClassificationScores> {
    const { classes, at } = this.#classes();
    const truths = Int32Array.from(this.#truths, (c) => at.get(c)!);
    const answers = Int32Array.from(this.#answers, (c) => at.get(c)!);
    const [inFive, losses, hasFive] = [this.#inFive, this.#losses, this.#labels.length > 5];
    return (times) => {
      const [right, examples, named] = [0, 0, 0].map(() => new Float64Array(classes.length)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      let [n, correct, correctInFive, loss] = [0, 0, 0, 0];
      for (let i = 0; i < truths.length; i++) {
        const weight = times ? times[i]! : 1;
        // What is not drawn has no say, even where its loss is infinite.
        if (weight === 0) continue;
        n += weight;
        loss += weight * losses[i]!;
        examples[truths[i]!]! += weight;
        named[answers[i]!]! += weight;
        if (inFive[i]) correctInFive += weight;
        if (truths[i] !== answers[i]) continue;
        correct += weight;
        right[truths[i]!]! += weight;
      }
      // F1 = 2 tp / (2 tp + fp + fn): tp + fn are the examples of the class, tp + fp the answers that name it. Its mean is
      // over the classes that occur, as the truth or as an answer.
      let [sum, occurring] = [0, 0];
      for (let c = 0; c < classes.length; c++) {
        const both = examples[c]! + named[c]!;
        if (both === 0) continue;
        occurring++;
        sum += (2 * right[c]!) / both;
      }
      return {
        accuracy: correct / n,
        ...(hasFive && { top5: correctInFive / n }),
        macroF1: sum / occurring,
        loss: loss / n,
      } as ClassificationScores;
    };
  }
}
