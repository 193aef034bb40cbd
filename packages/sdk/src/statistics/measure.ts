/** @file The {@link Measure} type, a metric as a function of resampling counts; means and ranks. */

/** Numbers by name, such as `{ accuracy: 0.87 }`. */
export type Metrics = Readonly<Record<string, number>>;

/** Metrics that always include the given names: `MetricsNamed<'accuracy' | 'loss'>`. */
export type MetricsNamed<Name extends string> = Metrics & Readonly<Record<Name, number>>;

/** Metrics of fixed examples, i counted `times[i]` times, or once; slow work is done when the measure is made. */
export type Measure<Result extends Metrics = Metrics> = (times?: ArrayLike<number>) => Result;

/** Weighted means of per-example numbers by name; NaN over no examples. */
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
          // An example that is not drawn does not count, even if it is infinite.
          if (weight === 0) continue;
          count += weight;
          sum += weight * column[i]!;
        }
        return [name, sum / count];
      }),
    ) as MetricsNamed<Name>;
}

/** Picks metrics by name, in this order; missing ones are skipped. */
export function pickMetrics<Result extends Metrics>(all: Metrics, names: readonly string[]): Result {
  return Object.fromEntries(names.flatMap((name) => (name in all ? [[name, all[name]!]] : []))) as Result;
}

/** Sort order of values and their runs of ties. */
export interface Sorted {
  /** Indices of the values in ascending order. */
  readonly order: Int32Array;
  /** Per run of equal values, the end in `order`, exclusive. */
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

/** Ranks from 1 when value i counts `times[i]` times; ties share their mean rank. */
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
