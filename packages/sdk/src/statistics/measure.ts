/** @file What a metric is to the bootstrap: a function of how often each example is drawn; means and ranks are the simplest. */

/** A number with a name, such as `{ accuracy: 0.87 }`. */
export type Metrics = Readonly<Record<string, number>>;

/** Metrics of which some are always there: `MetricsNamed<'accuracy' | 'loss'>`. There may be others. */
export type MetricsNamed<Name extends string> = Metrics & Readonly<Record<Name, number>>;

/**
 * Metrics of a fixed set of examples, of which each counts `times[i]` times; once without it. Whatever takes long, such as
 * sorting, is done when the measure is made, so that it can be asked a thousand times.
 */
export type Measure<Result extends Metrics = Metrics> = (times?: ArrayLike<number>) => Result;

/**
 * Means of numbers that each example has, NaN over no example.
 *
 * @param values by the metric's name: of each example its number
 */
export function meanMeasure<Name extends string>(
  values: Readonly<Record<Name, ArrayLike<number>>>,
): Measure<MetricsNamed<Name>> {
  const columns = Object.entries<ArrayLike<number>>(values);
  return (times) =>
    Object.fromEntries(
      columns.map(([name, column]) => {
        let [count, sum] = [0, 0];
        for (let i = 0; i < column.length; i++) {
          const weight = times ? times[i]! : 1;
          // What is not drawn has no say, even where it is infinite.
          if (weight === 0) continue;
          count += weight;
          sum += weight * column[i]!;
        }
        return [name, sum / count];
      }),
    ) as MetricsNamed<Name>;
}

/** Only the metrics of these names, in their order; those that there are not are left out. */
export function pickMetrics<Result extends Metrics>(all: Metrics, names: readonly string[]): Result {
  return Object.fromEntries(names.flatMap((name) => (name in all ? [[name, all[name]!]] : []))) as Result;
}

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
