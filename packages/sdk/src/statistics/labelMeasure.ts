/** @file How well any number of labels per example are named. */

import type { Measure } from './measure.ts';
import { matthews } from './classMeasure.ts';
import { rankingMeasure } from './rankingMeasure.ts';

/** Answers where an example may have several labels, and which are right. */
export interface LabelAnswers {
  /** How many labels there are. */
  readonly labels: number;
  /** `[examples, labels]`, row by row: 1 or true where the example has the label. */
  readonly truths: ArrayLike<number | boolean>;
  /** `[examples, labels]`, row by row. */
  readonly probabilities: ArrayLike<number>;
  /** Probability from which a label counts as given, one per label. */
  readonly thresholds: readonly number[];
}

/** Metrics of labels. */
export type LabelMeasures = Readonly<Record<'mAP' | 'auroc' | 'microF1' | 'macroF1' | 'mcc', number>>;

/**
 * `mAP` and `auroc` are the means over the labels that are true of some examples, and of `auroc` not of all. `microF1` counts
 * all labels as one, `macroF1` and `mcc` are means over the labels; a label that is neither given nor true has an F1 of 0, as in
 * scikit-learn.
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

/** Of one label: examples that have it, examples that it is given to, and those that are both. */
export interface LabelCounts {
  /** Examples that have the label and are given it. */
  readonly right: number;
  /** Examples that are given the label. */
  readonly given: number;
  /** Examples that have the label. */
  readonly examples: number;
}

/** 2 tp / (2 tp + fp + fn); 0 where nothing is given or true. */
export function f1({ right, given, examples }: LabelCounts): number {
  return given + examples === 0 ? 0 : (2 * right) / (given + examples);
}

/** Of the values that are numbers. */
function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
