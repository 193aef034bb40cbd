/** @file Baselines without training the model: the mean of the training data, and models on features. */

import {
  bestNeighbourCount as bestCount,
  fitRidge,
  forEachNeighbours,
  ridgeAnswers,
  standardise,
  standardisationOf,
  takeRows,
} from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';

/** A baseline's answers. */
export interface BaselineAnswers {
  /** What it is called in the report's table. */
  readonly method: string;
  /** `[sequences, outputs]` */
  readonly answers: Matrix;
  /** The answer at which a class or label is as likely as not. */
  readonly threshold: number;
  /** What was chosen on the training data: `α = 100`. */
  readonly chosen: string;
}

/** Features of training and held-out sequences. */
export interface FeatureRows {
  readonly train: Matrix;
  readonly validation: Matrix;
}

/** What a ridge is made for. */
export interface RidgeOptions {
  /** The features in words. */
  readonly on: string;
  /** Whether targets are 0 and 1. */
  readonly areClasses: boolean;
  /** Whether features share one scale already. */
  readonly isScaled: boolean;
  /** Seed of the subsample. */
  readonly seed: number;
}

/** Most examples or features, whichever are fewer, of a ridge that fits in seconds. */
const MOST = 1500;

/** The mean of the training targets, whatever the sequence. */
export function meanAnswers(targets: Matrix, rows: number, method: string): BaselineAnswers {
  const { columns, data } = targets;
  const answers = matrix(rows, columns);
  for (let j = 0; j < columns; j++) {
    let sum = 0;
    for (let i = 0; i < targets.rows; i++) sum += data[i * columns + j]!;
    for (let i = 0; i < rows; i++) answers.data[i * columns + j] = sum / targets.rows;
  }
  return { method, answers, threshold: 0.5, chosen: '' };
}

/** k nearest neighbours on scaled features. */
export function neighboursOn({ train, validation }: FeatureRows, targets: Matrix, on: string): BaselineAnswers {
  const scaling = standardisationOf(train);
  const known = { features: standardise(train, scaling), targets };
  const k = bestNeighbourCount(known);
  const answers = neighbourAnswers(known, standardise(validation, scaling), k);
  return { method: `k nearest neighbours on ${on}`, answers, threshold: 0.5, chosen: `k = ${k}` };
}

/**
 * Ridge on standardised features; zeros and ones stay as they are. Classes and labels, 1 or 0, count as 1 and −1, like
 * scikit-learn's `RidgeClassifier`. Of more than 1,500 training sequences with more than 1,500 features, 1,500 are
 * sampled.
 */
export function ridgeOn(
  { train, validation }: FeatureRows,
  targets: Matrix,
  { on, areClasses, isScaled, seed }: RidgeOptions,
): BaselineAnswers {
  const isLarge = Math.min(train.rows, train.columns) > MOST;
  const chosen = isLarge ? new Random(seed).permutation(train.rows).slice(0, MOST) : undefined;
  const own = chosen ? takeRows(train, chosen) : train;
  const ownTargets = chosen ? takeRows(targets, chosen) : targets;
  const signed = areClasses ? { ...ownTargets, data: ownTargets.data.map((value) => 2 * value - 1) } : ownTargets;
  const scaling = isScaled ? undefined : standardisationOf(own);
  const onScale = (features: Matrix): Matrix => (scaling ? standardise(features, scaling) : features);
  const ridge = fitRidge(onScale(own), signed);
  return {
    method: `ridge on ${on}`,
    answers: ridgeAnswers(ridge, onScale(validation)),
    threshold: areClasses ? 0 : 0.5,
    chosen: `α = ${ridge.alpha}${chosen ? `, fitted on ${MOST} of ${train.rows}` : ''}`,
  };
}

/** Candidates of k. */
const candidates = [1, 2, 3, 5, 10, 20, 50];
/** Examples of leave-one-out. */
const most = 1000;

/** What is known. */
export interface Known {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** `[examples, outputs]`: numbers, or one-hot classes. */
  readonly targets: Matrix;
}

/**
 * The mean of the targets of the `k` training examples that are nearest to each query by Euclid's distance, of equally near
 * ones the first: scikit-learn's `KNeighborsRegressor(k)`, and of targets of 0 and 1 the probabilities of
 * `KNeighborsClassifier(k)`.
 */
export function neighbourAnswers({ features, targets }: Known, queries: Matrix, k: number): Matrix {
  const result = matrix(queries.rows, targets.columns);
  forEachNeighbours({ features }, queries, k, ({ rows }, query) =>
    result.data.set(meanOf(targets, rows), query * targets.columns),
  );
  return result;
}

/** The number of neighbours with the least squared error when training examples are answered by the others, each left out in turn. */
export function bestNeighbourCount({ features, targets }: Known): number {
  const { columns, data } = targets;
  return bestCount(
    { features },
    {
      candidates,
      most,
      errorOf: ({ rows }, example) =>
        meanOf(targets, rows).reduce((sum, answer, j) => sum + (answer - data[example * columns + j]!) ** 2, 0),
    },
  );
}

function meanOf({ columns, data }: Matrix, rows: Int32Array): Float64Array {
  const result = new Float64Array(columns);
  for (const row of rows) for (let j = 0; j < columns; j++) result[j]! += data[row * columns + j]! / rows.length;
  return result;
}
