/** @file Confidence intervals by the percentile bootstrap. */

import { Random } from '../../../runtime/random.ts';
import type { Metrics } from '../../dataset.ts';

/** How intervals are found. */
export interface BootstrapOptions {
  /** Sets of examples that are drawn; 1,000 by default. */
  readonly samples?: number;
  /** Seeds the draws; 0 by default. */
  readonly seed?: number;
  /** The probability with which an interval holds the metric; 0.95 by default. */
  readonly level?: number;
  /**
   * The group of each example, such as the protein that a residue is of: groups are drawn whole, for examples of one group are
   * no independent evidence. By default each example is a group.
   */
  readonly groups?: ArrayLike<number> | undefined;
}

/** A metric undefined in more samples than this share has no interval: what is left would be a choice of lucky samples. */
const MOST_UNDEFINED = 0.1;

/**
 * Intervals of metrics: examples are drawn with replacement, as many as there are, again and again, and the interval is where
 * the metric lies in the middle 95% of these sets. All metrics are taken on the same draws. A metric that is NaN in more than a
 * tenth of the sets, as AUROC is in sets of one class, has no interval; nor has any of fewer than two examples or groups.
 *
 * @param measure the metrics when example i counts `times[i]` times, such as {@link numberMeasure} gives
 * @param size the number of examples
 * @see Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13; SciPy's `bootstrap(method='percentile')`
 */
export function bootstrapIntervals(
  measure: (times: Uint32Array) => Metrics,
  size: number,
  { samples = 1000, seed = 0, level = 0.95, groups }: BootstrapOptions = {},
): Readonly<Record<string, readonly [low: number, high: number]>> {
  const numbers = groups && new Map([...new Set(Array.from(groups))].map((group, i) => [group, i]));
  const count = numbers ? numbers.size : size;
  if (count < 2) return {};
  const groupOf = numbers && Int32Array.from({ length: size }, (_, i) => numbers.get(groups[i]!)!);
  const random = new Random(seed);
  const drawn = new Uint32Array(count);
  const times = groupOf ? new Uint32Array(size) : drawn;
  const values = new Map<string, number[]>();
  for (let sample = 0; sample < samples; sample++) {
    drawn.fill(0);
    for (let i = 0; i < count; i++) drawn[random.index(count)]!++;
    if (groupOf) for (let i = 0; i < size; i++) times[i] = drawn[groupOf[i]!]!;
    for (const [name, value] of Object.entries(measure(times))) {
      const own = values.get(name) ?? [];
      if (Number.isFinite(value)) own.push(value);
      values.set(name, own);
    }
  }
  const known = [...values].filter(([, own]) => own.length >= (1 - MOST_UNDEFINED) * samples);
  return Object.fromEntries(
    known.map(([name, own]) => {
      const sorted = Float64Array.from(own).sort();
      return [name, [quantile(sorted, (1 - level) / 2), quantile(sorted, (1 + level) / 2)] as const];
    }),
  );
}

/**
 * The interval of one metric; `[NaN, NaN]` where it has none.
 *
 * @param metric the metric when example i counts `times[i]` times
 * @param size the number of examples
 * @see bootstrapIntervals
 */
export function bootstrapInterval(
  metric: (times: Uint32Array) => number,
  size: number,
  options: BootstrapOptions = {},
): readonly [low: number, high: number] {
  const { value } = bootstrapIntervals((times) => ({ value: metric(times) }), size, options);
  return value ?? [Number.NaN, Number.NaN];
}

/**
 * How many sets to draw: 1,000; fewer, but not below 200, where answers are a table of more than a million cells, such as
 * thousands of proteins by hundreds of labels, which would take minutes.
 */
export function drawsFor(cells: number): number {
  return Math.max(200, Math.min(1000, Math.floor(1e9 / cells)));
}

/** The value below which a share of sorted values lies, between two of them on the line through both. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (at - below) * (high - low);
}
