/** @file Baselines for the comparison with LoRA: the training mean, k nearest neighbours and ridge regression. */

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
  /** Name in the report's table. */
  readonly method: string;
  /** `[sequences, outputs]` */
  readonly answers: Matrix;
  /** Decision threshold of a class or label. */
  readonly threshold: number;
  /** Hyperparameters chosen on the training data: `α = 100`. */
  readonly chosen: string;
}

/** Features of training and held-out sequences. */
export interface FeatureRows {
  readonly train: Matrix;
  readonly validation: Matrix;
}

/** Options of {@link ridgeOn}. */
export interface RidgeOptions {
  /** Name of the features. */
  readonly on: string;
  readonly areClasses: boolean;
  /** Skips standardisation. */
  readonly isScaled: boolean;
  readonly seed: number;
}

/** Above this many examples and features, ridge is fitted on a sample, to take seconds. */
const MOST = 1500;

/** Predicts the mean of the training targets. */
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

/** k nearest neighbours on standardised features. */
export function neighboursOn({ train, validation }: FeatureRows, targets: Matrix, on: string): BaselineAnswers {
  const scaling = standardisationOf(train);
  const known = { features: standardise(train, scaling), targets };
  const k = bestNeighbourCount(known);
  const answers = neighbourAnswers(known, standardise(validation, scaling), k);
  return { method: `k nearest neighbours on ${on}`, answers, threshold: 0.5, chosen: `k = ${k}` };
}

/**
 * Ridge on standardised features (one-hot features stay as they are). Binary targets 1 and 0 become 1 and −1, like
 * scikit-learn's `RidgeClassifier`. Above 1,500 training sequences and 1,500 features, 1,500 sequences are sampled.
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

const candidates = [1, 2, 3, 5, 10, 20, 50];
/** Most examples for leave-one-out. */
const most = 1000;

/** Training examples of the neighbours. */
export interface KnownAnswers {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** `[examples, outputs]`: numbers, or one-hot classes. */
  readonly targets: Matrix;
}

/**
 * Predicts the mean target of the `k` nearest training examples (Euclidean; ties go to the first): scikit-learn's
 * `KNeighborsRegressor(k)`, and for one-hot targets the probabilities of `KNeighborsClassifier(k)`.
 */
export function neighbourAnswers({ features, targets }: KnownAnswers, queries: Matrix, k: number): Matrix {
  const result = matrix(queries.rows, targets.columns);
  forEachNeighbours({ features }, queries, k, ({ rows }, query) =>
    result.data.set(meanOf(targets, rows), query * targets.columns),
  );
  return result;
}

/** The k with the least squared error in leave-one-out cross-validation on the training examples. */
export function bestNeighbourCount({ features, targets }: KnownAnswers): number {
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
