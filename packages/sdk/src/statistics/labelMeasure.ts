/** @file Metrics of multi-label classification. */

import type { Measure } from './measure.ts';
import { matthews } from './classMeasure.ts';
import { rankingMeasure } from './rankingMeasure.ts';

/** Multi-label answers and the true labels. */
export interface LabelAnswers {
  /** Number of labels. */
  readonly labels: number;
  /** `[examples, labels]`, row-major: 1 or true where the example has the label. */
  readonly truths: ArrayLike<number | boolean>;
  /** `[examples, labels]`, row-major. */
  readonly probabilities: ArrayLike<number>;
  /** Decision threshold per label, inclusive. */
  readonly thresholds: readonly number[];
}

/** Multi-label metrics. */
export type LabelMeasures = Readonly<Record<'mAP' | 'auroc' | 'microF1' | 'macroF1' | 'mcc', number>>;

/**
 * `mAP` and `auroc` are means over labels with positive examples (`auroc`: and negative ones). `microF1` pools all
 * labels; `macroF1` and `mcc` are means over labels. F1 is 0 without positives and predictions, as in scikit-learn.
 */
export function labelMeasure({ labels, truths, probabilities, thresholds }: LabelAnswers): Measure<LabelMeasures> {
  const size = truths.length / labels;
  const each = Array.from({ length: labels }, (_, label) => {
    const scores = Float64Array.from({ length: size }, (_, i) => probabilities[i * labels + label]!);
    const isTrue = Uint8Array.from({ length: size }, (_, i) => (truths[i * labels + label] ? 1 : 0));
    const isGiven = Uint8Array.from(scores, (score) => (score >= thresholds[label]! ? 1 : 0));
    return { isTrue, isGiven, ranking: rankingMeasure(scores, isTrue) };
  });
  return (times) => {
    const counts = each.map(({ isTrue, isGiven }) => {
      let [all, right, given, examples, agreed] = [0, 0, 0, 0, 0];
      for (let i = 0; i < size; i++) {
        const weight = times ? times[i]! : 1;
        all += weight;
        given += weight * isGiven[i]!;
        examples += weight * isTrue[i]!;
        right += weight * isTrue[i]! * isGiven[i]!;
        if (isTrue[i] === isGiven[i]) agreed += weight;
      }
      return { all, right, given, examples, agreed };
    });
    const rankings = each.map(({ ranking }) => ranking(times));
    const total = (name: 'right' | 'given' | 'examples'): number => counts.reduce((sum, own) => sum + own[name], 0);
    return {
      mAP: mean(rankings.map(({ averagePrecision }) => averagePrecision)),
      auroc: mean(rankings.map(({ auroc }) => auroc)),
      microF1: f1({ right: total('right'), given: total('given'), examples: total('examples') }),
      macroF1: mean(counts.map(f1)),
      mcc: mean(
        counts.map(({ all, given, examples, agreed }) =>
          matthews(agreed, all, [all - examples, examples], [all - given, given]),
        ),
      ),
    };
  };
}

/** Counts of one label. */
export interface LabelCounts {
  /** True positives. */
  readonly right: number;
  /** Predicted positives. */
  readonly given: number;
  /** Actual positives. */
  readonly examples: number;
}

/** 2 tp / (2 tp + fp + fn); 0 where nothing is predicted or true. */
export function f1({ right, given, examples }: LabelCounts): number {
  return given + examples === 0 ? 0 : (2 * right) / (given + examples);
}

/** Mean of the values that are not NaN. */
function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
