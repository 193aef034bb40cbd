/** @file What a metric is to the bootstrap: a function of how often each example is drawn. */

import type { Metrics, MetricsNamed } from '../../dataset.ts';

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
