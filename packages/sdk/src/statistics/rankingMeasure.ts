/** @file Threshold-free metrics of one label's scores: AUROC and average precision. */

import { type Measure, sorted } from './measure.ts';

/** Metrics of one label's scores. */
export type RankingScores = Readonly<Record<'auroc' | 'averagePrecision', number>>;

/**
 * AUROC (share of positive-negative pairs in the right order, ties counting half) and average precision, Σ (recall −
 * previous recall) · precision from the highest score down, as scikit-learn's `roc_auc_score` and
 * `average_precision_score`; NaN where undefined.
 */
export function rankingMeasure(scores: ArrayLike<number>, truths: ArrayLike<number | boolean>): Measure<RankingScores> {
  const { order, ends } = sorted(scores);
  return (times) => {
    let [positives, all] = [0, 0];
    for (let i = 0; i < order.length; i++) {
      const weight = times ? times[i]! : 1;
      all += weight;
      if (truths[i]) positives += weight;
    }
    // From the highest score down, one run of equal scores at a time.
    let [right, named, inOrder, precisions] = [0, 0, 0, 0];
    for (let run = ends.length - 1; run >= 0; run--) {
      let [own, ownRight] = [0, 0];
      for (let i = run === 0 ? 0 : ends[run - 1]!; i < ends[run]!; i++) {
        const weight = times ? times[order[i]!]! : 1;
        own += weight;
        if (truths[order[i]!]) ownRight += weight;
      }
      inOrder += (own - ownRight) * (right + ownRight / 2);
      right += ownRight;
      named += own;
      if (ownRight > 0) precisions += ownRight * (right / named);
    }
    const negatives = all - positives;
    return {
      auroc: positives === 0 || negatives === 0 ? Number.NaN : inOrder / (positives * negatives),
      averagePrecision: positives === 0 ? Number.NaN : precisions / positives,
    };
  };
}

/** ROC curve: a point `[false positive rate, true positive rate]` per threshold, from (0, 0) to (1, 1). */
export function rocCurve(
  scores: ArrayLike<number>,
  truths: ArrayLike<number | boolean>,
): (readonly [number, number])[] {
  const steps = thresholds(scores, truths);
  const { right: positives, wrong: negatives } = steps.at(-1)!;
  return steps.map(({ right, wrong }) => [wrong / negatives, right / positives] as const);
}

/** A point `[recall, precision]` per threshold, from the highest; starts at recall 0 and precision 1. */
export function precisionRecallCurve(
  scores: ArrayLike<number>,
  truths: ArrayLike<number | boolean>,
): (readonly [number, number])[] {
  const steps = thresholds(scores, truths);
  const positives = steps.at(-1)!.right;
  return steps.map(({ right, wrong }, i) => [right / positives, i === 0 ? 1 : right / (right + wrong)] as const);
}

/** True and false positives from each distinct score up, starting with none. */
function thresholds(
  scores: ArrayLike<number>,
  truths: ArrayLike<number | boolean>,
): readonly { readonly right: number; readonly wrong: number }[] {
  const { order, ends } = sorted(scores);
  const steps = [{ right: 0, wrong: 0 }];
  for (let run = ends.length - 1; run >= 0; run--) {
    let { right, wrong } = steps.at(-1)!;
    for (let i = run === 0 ? 0 : ends[run - 1]!; i < ends[run]!; i++) {
      if (truths[order[i]!]) right++;
      else wrong++;
    }
    steps.push({ right, wrong });
  }
  return steps;
}
