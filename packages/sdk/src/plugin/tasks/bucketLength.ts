/** @file Few lengths for many, so that a graph that is built for the shapes of a batch serves others too. */

/**
 * The length of the bucket that a length falls into, of few: multiples of `unit` up to 8, and of what it has doubled to beyond, so that there are four for each
 * doubling and no length grows by more than a quarter once it has four units.
 */
export function bucketLength(length: number, unit: number): number {
  let step = unit;
  while (8 * step < length) step *= 2;
  return Math.ceil(length / step) * step;
}
