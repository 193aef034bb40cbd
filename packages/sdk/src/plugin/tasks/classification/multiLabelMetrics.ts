/** @file Mean average precision and F1 where an example may have any number of labels. */

import { OnnxLoraError } from '../../../errors.ts';
import type { Feeds, Tensor } from '../../../runtime/tensor.ts';
import type { MetricCollector, MetricsNamed } from '../../dataset.ts';
import { bootstrapIntervals, drawsFor } from '../statistics/bootstrap.ts';
import type { Measure } from '../statistics/measure.ts';
import { rankingMeasure, type RankingScores } from '../statistics/rankingMeasure.ts';
import { scoresOf } from './scores.ts';

/** Scores of all labels, and which are true: `[examples, labels]`, row by row. */
export interface LabelScores {
  /** How many labels there are. */
  readonly labels: number;
  /** Probabilities, 0 to 1. */
  readonly scores: readonly number[];
  /** Whether the example has the label. */
  readonly truths: readonly boolean[];
}

/** What a collector must know of the task. */
export interface MultiLabelMetricsOptions {
  /** Name of the graph output `[batch, labels]`. */
  readonly output: string;
  /** Names of the labels, in the order of the output. */
  readonly labels: readonly string[];
  /** Probability from which a label counts as given, one per label. */
  readonly thresholds: readonly number[];
}

/** Metrics of {@link MultiLabelMetrics}. */
export type MultiLabelScores = MetricsNamed<'mAP' | 'microF1' | 'macroF1' | 'loss'>;

/** Sums up batches. Targets are `{ labels: float32 [batch, labels] }` of zeros and ones. */
export class MultiLabelMetrics implements MetricCollector<MultiLabelScores> {
  readonly #options: MultiLabelMetricsOptions;
  readonly #scores: number[] = [];
  readonly #truths: boolean[] = [];

  /** For the labels of a task; see {@link MultiLabelMetricsOptions}. */
  constructor(options: MultiLabelMetricsOptions) {
    this.#options = options;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { output, labels } = this.#options;
    const { data } = scoresOf(outputs, output, labels.length);
    const truth = targets['labels']?.data;
    if (!(truth instanceof Float32Array) || truth.length !== data.length) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Targets must hold "labels" as float32 [batch, ${labels.length}], one row for each of "${output}". Pass those that collate made.`,
      );
    }
    data.forEach((score, i) => {
      this.#scores.push(score);
      this.#truths.push(truth[i]! > 0.5);
    });
  }

  /** What has been collected. */
  get all(): LabelScores {
    return { labels: this.#options.labels.length, scores: this.#scores, truths: this.#truths };
  }

  /**
   * `mAP` (the mean of the labels' average precisions, labels without an example left out), `microF1`, `macroF1` and `loss` (mean
   * binary cross-entropy in nats).
   */
  result(): MultiLabelScores {
    return this.#measure()();
  }

  /** Intervals of the same, by a bootstrap over examples. */
  intervals(): ReturnType<typeof bootstrapIntervals> {
    const cells = this.#scores.length;
    return bootstrapIntervals(this.#measure(), cells / this.all.labels, { samples: drawsFor(cells) });
  }

  #measure(): Measure<MultiLabelScores> {
    const { labels, scores, truths } = this.all;
    const { thresholds } = this.#options;
    const size = scores.length / labels;
    const given = scores.map((score, i) => probability(score) >= thresholds[i % labels]!);
    const losses = scores.map((x, i) => Math.max(x, 0) - (truths[i] ? x : 0) + Math.log1p(Math.exp(-Math.abs(x))));
    const rankings = labelRankings(this.all);
    return (times) => {
      const counts = Array.from({ length: labels }, () => ({ right: 0, given: 0, examples: 0 }));
      let [all, loss] = [0, 0];
      for (let i = 0; i < size; i++) {
        const weight = times ? times[i]! : 1;
        if (weight === 0) continue;
        all += weight * labels;
        for (let label = 0; label < labels; label++) {
          const [at, own] = [i * labels + label, counts[label]!];
          loss += weight * losses[at]!;
          if (given[at]) own.given += weight;
          if (truths[at]) own.examples += weight;
          if (given[at] && truths[at]) own.right += weight;
        }
      }
      const total = counts.reduce((a, b) => ({ right: a.right + b.right, given: a.given + b.given, examples: a.examples + b.examples })); // prettier-ignore
      const precisions = rankings.map((ranking) => ranking(times).averagePrecision);
      return {
        mAP: mean(precisions.filter((each) => !Number.isNaN(each))),
        microF1: f1(total),
        macroF1: mean(counts.map(f1)),
        loss: loss / all,
      };
    };
  }
}

/** Of one label: examples that have it, examples that it is given to, and those that are both. */
export interface LabelCounts {
  /** Examples that have the label and are given it. */
  readonly right: number;
  /** Examples that are given the label. */
  readonly given: number;
  /** Examples that have the label. */
  readonly examples: number;
}

/** Counts per label, a label being given from its threshold on. */
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

/** 2 tp / (2 tp + fp + fn); 0 where nothing is given or true. */
export function f1({ right, given, examples }: LabelCounts): number {
  return given + examples === 0 ? 0 : (2 * right) / (given + examples);
}

/**
 * Average precision per label: Σ (recall − recall before) · precision, over the different scores from the highest on. NaN
 * for a label that no example has.
 *
 * @see https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html
 */
export function averagePrecisions(all: LabelScores): number[] {
  return labelRankings(all).map((ranking) => ranking().averagePrecision);
}

/** How well the scores of each label put what has it first. */
function labelRankings({ labels, scores, truths }: LabelScores): Measure<RankingScores>[] {
  return Array.from({ length: labels }, (_, label) => {
    const isOwn = (_: unknown, i: number): boolean => i % labels === label;
    return rankingMeasure(scores.filter(isOwn), truths.filter(isOwn));
  });
}

/** The threshold per label with the highest F1; the higher one where several are alike, 0.5 for a label without an example. */
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
      // Half-way to the next score, so that rounding cannot lose the last one that is given.
      threshold = probability(next === undefined ? score - 1 : (score + next) / 2);
    });
    return threshold;
  });
}

/** The logistic function. */
export function probability(score: number): number {
  return 1 / (1 + Math.exp(-score));
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
