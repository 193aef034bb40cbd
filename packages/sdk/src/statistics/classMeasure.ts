/** @file Metrics of single-label classification. */

import type { Measure } from './measure.ts';
import { rankingMeasure } from './rankingMeasure.ts';

/** A classifier's answers and the true classes. */
export interface ClassAnswers {
  /** Number of classes. */
  readonly classes: number;
  /** Class index of each example. */
  readonly truths: ArrayLike<number>;
  /** `[examples, classes]`, row-major; the highest is the answer, the first among equals. */
  readonly probabilities: ArrayLike<number>;
}

/** Metrics of a classifier. */
export type ClassScores = Readonly<
  Record<
    | 'accuracy'
    | 'balancedAccuracy'
    | 'macroF1'
    | 'weightedF1'
    | 'macroPrecision'
    | 'macroRecall'
    | 'mcc'
    | 'auroc'
    | 'auprc'
    | 'loss',
    number
  >
>;

/**
 * scikit-learn's metrics by their usual names. Means over classes skip classes that occur neither as truth nor as
 * answer (`balancedAccuracy`: as truth). `mcc` is the Matthews correlation, for more than two classes in Gorodkin's
 * form (2004), and 0 where either side has only one class. `auroc` and `auprc` (average precision) are of the second
 * class of two; for more, the mean of one-vs-rest over classes where both sides have examples. `loss` is the mean
 * cross-entropy in nats.
 */
export function classMeasure({ classes, truths, probabilities }: ClassAnswers): Measure<ClassScores> {
  const size = truths.length;
  const answers = Int32Array.from({ length: size }, (_, i) => highestOf(probabilities, i * classes, classes));
  const losses = Float64Array.from({ length: size }, (_, i) => -Math.log(probabilities[i * classes + truths[i]!]!));
  const named = namedMeasure({ classes, truths, answers, losses });
  const areas = areaMeasure({ classes, truths, probabilities });
  return (times) => {
    const { loss, ...rest } = named(times);
    return { ...rest, ...areas(times), loss };
  };
}

/** Predicted classes without probabilities. */
export interface NamedClasses extends Pick<ClassAnswers, 'classes' | 'truths'> {
  /** Predicted class index of each example. */
  readonly answers: ArrayLike<number>;
  /** Cross-entropy of each example. */
  readonly losses: ArrayLike<number>;
}

/** The metrics of {@link classMeasure} that need no probabilities. */
export function namedMeasure({
  classes,
  truths,
  answers,
  losses,
}: NamedClasses): Measure<Omit<ClassScores, 'auroc' | 'auprc'>> {
  return (times) => {
    const right = new Float64Array(classes);
    const examples = new Float64Array(classes);
    const named = new Float64Array(classes);
    let [count, hits, loss] = [0, 0, 0];
    for (let i = 0; i < truths.length; i++) {
      const weight = times ? times[i]! : 1;
      // An example that is not drawn does not count, even if its loss is infinite.
      if (weight === 0) continue;
      count += weight;
      loss += weight * losses[i]!;
      examples[truths[i]!]! += weight;
      named[answers[i]!]! += weight;
      if (answers[i] !== truths[i]) continue;
      right[truths[i]!]! += weight;
      hits += weight;
    }
    const f1 = (c: number): number => (2 * right[c]!) / (examples[c]! + named[c]!);
    const occurring = Array.from(right.keys()).filter((c) => examples[c]! + named[c]! > 0);
    return {
      accuracy: hits / count,
      balancedAccuracy: mean(occurring.filter((c) => examples[c]! > 0).map((c) => right[c]! / examples[c]!)),
      macroF1: mean(occurring.map(f1)),
      weightedF1: occurring.reduce((sum, c) => sum + examples[c]! * f1(c), 0) / count,
      macroPrecision: mean(occurring.map((c) => (named[c] === 0 ? 0 : right[c]! / named[c]!))),
      macroRecall: mean(occurring.map((c) => (examples[c] === 0 ? 0 : right[c]! / examples[c]!))),
      mcc: matthews(hits, count, examples, named),
      loss: loss / count,
    };
  };
}

/** AUROC and average precision of {@link classMeasure}. */
export function areaMeasure({
  classes,
  truths,
  probabilities,
}: ClassAnswers): Measure<Pick<ClassScores, 'auroc' | 'auprc'>> {
  const size = truths.length;
  const ranked = classes === 2 ? [1] : Array.from({ length: classes }, (_, c) => c);
  const rankings = ranked.map((c) => {
    const scores = Float64Array.from({ length: size }, (_, i) => probabilities[i * classes + c]!);
    return rankingMeasure(
      scores,
      Uint8Array.from({ length: size }, (_, i) => (truths[i] === c ? 1 : 0)),
    );
  });
  return (times) => {
    const areas = rankings.map((ranking) => ranking(times)).filter(({ auroc }) => !Number.isNaN(auroc));
    return {
      auroc: mean(areas.map(({ auroc }) => auroc)),
      auprc: mean(areas.map(({ averagePrecision }) => averagePrecision)),
    };
  };
}

/** Matthews correlation from the counts of correct examples, of all, and of each class as truth and as answer. */
export function matthews(right: number, all: number, examples: ArrayLike<number>, named: ArrayLike<number>): number {
  let [both, trueSquares, namedSquares] = [0, 0, 0];
  for (let c = 0; c < examples.length; c++) {
    both += examples[c]! * named[c]!;
    trueSquares += examples[c]! ** 2;
    namedSquares += named[c]! ** 2;
  }
  const size = Math.sqrt(all * all - trueSquares) * Math.sqrt(all * all - namedSquares);
  return size === 0 ? 0 : (right * all - both) / size;
}

/** Softmax of each row. */
export function softmaxRows(scores: ArrayLike<number>, classes: number): Float64Array {
  const result = Float64Array.from(scores);
  for (let at = 0; at < result.length; at += classes) {
    const row = result.subarray(at, at + classes);
    let largest = -Infinity;
    for (const score of row) largest = Math.max(largest, score);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += row[c] = Math.exp(row[c]! - largest);
    for (let c = 0; c < classes; c++) row[c]! /= sum;
  }
  return result;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Argmax of `count` values starting at `from`, relative to `from`; the first among equals. */
export function highestOf(values: ArrayLike<number>, from = 0, count: number = values.length): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[from + i]! > values[from + best]!) best = i;
  return best;
}
