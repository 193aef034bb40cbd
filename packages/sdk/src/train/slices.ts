/** @file Loops in slices that yield to the event loop. */

/** Elements per slice: well under a millisecond of the slowest optimizer. */
const SLICE = 1 << 15;

/** Calls `work` with consecutive ranges `[from, to)` of `[0, length)`, and yields after each. */
export function* slices(
  length: number,
  work: (from: number, to: number) => void,
  slice: number = SLICE,
): Generator<void, void> {
  for (let from = 0; from < length; from += slice) {
    work(from, Math.min(length, from + slice));
    yield;
  }
}

/** {@link slices} over rows of `columns` elements: no range splits a row. */
export function rowSlices(
  rows: number,
  columns: number,
  work: (from: number, to: number) => void,
): Generator<void, void> {
  return slices(rows, work, Math.max(1, Math.floor(SLICE / Math.max(1, columns))));
}

/** Sum of squares. */
export function* sumOfSquares(values: Float32Array): Generator<void, number> {
  let sum = 0;
  yield* slices(values.length, (from, to) => {
    sum += squaresOf(values, from, to);
  });
  return sum;
}

/** The Euclidean norm of several arrays together, such as all gradients of a step. */
export function* normOf(arrays: Iterable<Float32Array>): Generator<void, number> {
  let sum = 0;
  for (const values of arrays) sum += yield* sumOfSquares(values);
  return Math.sqrt(sum);
}

// A separate function: a variable captured by a closure is boxed at each change.
function squaresOf(values: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i]! * values[i]!;
  return sum;
}

/** Multiplies all values by a factor, in place. */
export function* multiply(values: Float32Array, factor: number): Generator<void, void> {
  yield* slices(values.length, (from, to) => {
    for (let i = from; i < to; i++) values[i] = factor * values[i]!;
  });
}
