/** @file Places of numbers by size, where some count several times, and the order of ranks. */

/** Numbers in order: which come one after the other, and where runs of equal ones end. */
export interface Sorted {
  /** Indices of the values, the smallest first. */
  readonly order: Int32Array;
  /** For each run of equal values, the place in `order` after its last. */
  readonly ends: Int32Array;
}

/** Sorts values once for {@link weightedRanks}. */
export function sorted(values: ArrayLike<number>): Sorted {
  const order = Int32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ends: number[] = [];
  for (let i = 1; i <= order.length; i++)
    if (i === order.length || values[order[i]!] !== values[order[i - 1]!]) ends.push(i);
  return { order, ends: Int32Array.from(ends) };
}

/** Ranks from 1 when value i is there `times[i]` times; equal values share the mean of theirs. */
export function weightedRanks({ order, ends }: Sorted, times?: ArrayLike<number>): Float64Array {
  const ranks = new Float64Array(order.length);
  let [at, before] = [0, 0];
  for (const end of ends) {
    let weight = times ? 0 : end - at;
    if (times) for (let i = at; i < end; i++) weight += times[order[i]!]!;
    const rank = before + (weight + 1) / 2;
    for (; at < end; at++) ranks[order[at]!] = rank;
    before += weight;
  }
  return ranks;
}
