/** @file Loops over many numbers in slices, between which the event loop may turn. */

/** Numbers that are worked through between two looks at the clock: well under a millisecond of the slowest optimizer. */
const SLICE = 1 << 15;

/** Calls `work` with consecutive ranges `[from, to)` that make up `[0, length)`, and yields after each. */
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

/** As {@link slices}, of rows that have `columns` numbers each: no range splits a row. */
export function rowSlices(
  rows: number,
  columns: number,
  work: (from: number, to: number) => void,
): Generator<void, void> {
  return slices(rows, work, Math.max(1, Math.floor(SLICE / Math.max(1, columns))));
}

/** The sum of the squares of all numbers. */
export function* sumOfSquares(values: Float32Array): Generator<void, number> {
  let sum = 0;
  yield* slices(values.length, (from, to) => {
    sum += squaresOf(values, from, to);
  });
  return sum;
}

// A variable that a closure shares is boxed at each change, so the loop adds to one of its own.
function squaresOf(values: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i]! * values[i]!;
  return sum;
}

/** Multiplies all numbers by a factor, in place. */
export function* multiply(values: Float32Array, factor: number): Generator<void, void> {
  yield* slices(values.length, (from, to) => {
    for (let i = from; i < to; i++) values[i] = factor * values[i]!;
  });
}
