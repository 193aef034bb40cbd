/** @file Answers by the training examples that are nearest. */

import { bestNeighbourCount as bestCount, forNearest } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';

/** Numbers of neighbours that are tried. */
const candidates = [1, 2, 3, 5, 10, 20, 50];
/** Training examples that are answered by the others to choose the number of neighbours. */
const most = 1000;

/** What is known. */
export interface Known {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** `[examples, outputs]`: numbers, or 1 for the class of an example and 0 for the others. */
  readonly targets: Matrix;
}

/**
 * The mean of the targets of the `k` training examples that are nearest to each query by Euclid's distance, of equally near
 * ones the first: scikit-learn's `KNeighborsRegressor(k)`, and of targets of 0 and 1 the probabilities of
 * `KNeighborsClassifier(k)`.
 */
export function neighbourAnswers({ features, targets }: Known, queries: Matrix, k: number): Matrix {
  const result = matrix(queries.rows, targets.columns);
  forNearest({ features }, queries, k, ({ rows }, query) =>
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
