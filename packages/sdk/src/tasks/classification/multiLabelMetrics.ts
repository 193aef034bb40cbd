/** @file Mean average precision and F1 of multi-label classification. */

import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics, MetricsNamed } from '../../statistics/measure.ts';
import { AnswerMetrics, MeasuredTally, wholeAnswers, targetsError } from '../answers/answerMetrics.ts';
import { meanLabels, type PartAnswer } from '../answers/joinedWindows.ts';
import { f1, type LabelCounts, labelMeasure, type LabelMeasures } from '../../statistics/labelMeasure.ts';
import { type Measure, pickMetrics } from '../../statistics/measure.ts';
import { rankingMeasure } from '../../statistics/rankingMeasure.ts';

/** Labels of an example as zeros and ones. */
export type LabelVector = readonly number[];

/** Scores and truths of all labels: `[examples, labels]`, row by row. */
export interface LabelScores {
  /** Number of labels. */
  readonly labels: number;
  /** Logits. */
  readonly scores: readonly number[];
  /** Whether the example has the label. */
  readonly truths: readonly boolean[];
}

/** Options of {@link LabelTally}. */
export interface LabelTallyOptions {
  /** Names of the labels, in the order of the output. */
  readonly labels: readonly string[];
  /** Threshold probability of each label. */
  readonly thresholds: readonly number[];
  /** Metrics, in order; mAP, micro- and macro-F1 and loss by default. */
  readonly metrics?: readonly (keyof LabelMeasures | 'loss')[] | undefined;
}

/** Accumulates scores of labels. */
export class LabelTally<Scores extends Metrics> extends MeasuredTally<LabelVector, Scores> {
  readonly #options: LabelTallyOptions;
  readonly #scores: number[] = [];
  readonly #truths: boolean[] = [];

  /** An empty tally. */
  constructor(options: LabelTallyOptions) {
    super();
    this.#options = options;
  }

  add(_: number, answers: readonly PartAnswer<LabelVector>[]): void {
    for (const { truth, values } of answers) {
      for (const [i, score] of values.entries()) {
        this.#scores.push(score);
        this.#truths.push(truth[i]! > 0.5);
      }
    }
  }

  /** Everything added so far. */
  get all(): LabelScores {
    return { labels: this.#options.labels.length, scores: this.#scores, truths: this.#truths };
  }

  protected get size(): { records: number; cells: number } {
    const cells = this.#scores.length;
    return { records: cells / this.#options.labels.length, cells };
  }

  protected measure(): Measure<Scores> {
    const { labels, scores, truths } = this.all;
    const { thresholds, metrics = ['mAP', 'microF1', 'macroF1', 'loss'] } = this.#options;
    const measure = labelMeasure({ labels, truths, probabilities: scores.map(probability), thresholds });
    const losses = scores.map((x, i) => Math.max(x, 0) - (truths[i] ? x : 0) + Math.log1p(Math.exp(-Math.abs(x))));
    return (times) => {
      let [all, loss] = [0, 0];
      for (const [i, own] of losses.entries()) {
        const weight = times ? times[Math.floor(i / labels)]! : 1;
        // An example that was not drawn must not count, even if its loss is infinite.
        if (weight === 0) continue;
        all += weight;
        loss += weight * own;
      }
      return pickMetrics<Scores>({ ...measure(times), loss: loss / all }, metrics);
    };
  }
}

/** Options of {@link MultiLabelMetrics}. */
export interface MultiLabelMetricsOptions extends LabelTallyOptions {
  /** Name of the graph output `[batch, labels]`. */
  readonly output: string;
}

/** `mAP` (mean average precision of labels with examples), F1, and `loss` (mean binary cross-entropy in nats). */
export type MultiLabelScores = MetricsNamed<'mAP' | 'microF1' | 'macroF1' | 'loss'>;

/** Multi-label metrics. Targets are `{ labels: float32 [batch, labels] }`, and `recordTargets` to average windows. */
export class MultiLabelMetrics<Scores extends Metrics = MultiLabelScores> extends AnswerMetrics<
  LabelVector,
  Scores,
  LabelTally<Scores>
> {
  /** For the labels of a task; see {@link MultiLabelMetricsOptions}. */
  constructor({ output, ...options }: MultiLabelMetricsOptions) {
    const width = options.labels.length;
    const truthsOf = ({ labels }: Parameters<MetricCollector['update']>[1], rows: number): LabelVector[] => {
      const data = labels?.data;
      if (data instanceof Float32Array && data.length === rows * width)
        return Array.from({ length: rows }, (_, row) => [...data.subarray(row * width, (row + 1) * width)]);
      throw targetsError(`"labels" as float32 [batch, ${width}], one row for each of "${output}"`);
    };
    super(wholeAnswers({ output, width, truthsOf, mean: meanLabels }), new LabelTally(options), meanLabels);
  }

  /** Everything added so far. */
  get all(): LabelScores {
    return this.tally.all;
  }
}

/** Counts per label; scores at or above the threshold count as predicted. */
export function labelCounts({ labels, scores, truths }: LabelScores, thresholds: readonly number[]): LabelCounts[] {
  const counts = Array.from({ length: labels }, () => ({ right: 0, given: 0, examples: 0 }));
  scores.forEach((score, i) => {
    const own = counts[i % labels]!;
    const isGiven = probability(score) >= thresholds[i % labels]!;
    if (isGiven) own.given++;
    if (truths[i]) own.examples++;
    if (isGiven && truths[i]) own.right++;
  });
  return counts;
}

/** Average precision per label, as scikit-learn's `average_precision_score`; NaN for a label without examples. */
export function averagePrecisions({ labels, scores, truths }: LabelScores): number[] {
  return Array.from({ length: labels }, (_, label) => {
    const isOwn = (_own: unknown, i: number): boolean => i % labels === label;
    return rankingMeasure(scores.filter(isOwn), truths.filter(isOwn))().averagePrecision;
  });
}

/** Threshold of highest F1 per label; the highest of several, 0.5 for a label without examples. */
export function bestThresholds({ labels, scores, truths }: LabelScores): number[] {
  return Array.from({ length: labels }, (_, label) => {
    const own = scores.flatMap((score, i) => (i % labels === label ? [{ score, isTrue: truths[i]! }] : []));
    own.sort((a, b) => b.score - a.score);
    const examples = own.filter(({ isTrue }) => isTrue).length;
    let [right, best, threshold] = [0, 0, 0.5];
    own.forEach(({ score, isTrue }, i) => {
      if (isTrue) right++;
      const next = own[i + 1]?.score;
      const value = f1({ right, given: i + 1, examples });
      if (next === score || value <= best) return;
      best = value;
      // Half-way to the next score, so that rounding cannot lose the last predicted one.
      threshold = probability(next === undefined ? score - 1 : (score + next) / 2);
    });
    return threshold;
  });
}

/** The logistic function. */
export function probability(score: number): number {
  return 1 / (1 + Math.exp(-score));
}
