/** @file Confidence intervals by the percentile bootstrap. */

import { Random } from '../runtime/random.ts';

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

/** A metric on sets of examples that were drawn with replacement. */
export interface Drawn {
  /** Examples, or groups of them, that are drawn from. */
  readonly units: number;
  /** What seeds the draws: draws of one seed from as many units are the same sets, set by set. */
  readonly seed: number;
  /** The metric on each set, NaN where it is not defined there. */
  readonly values: Float64Array;
}

/** Metrics by their names, all on the same sets. */
export type Draws = Readonly<Record<string, Drawn>>;

/** The lowest and the highest value of an interval. */
export type Interval = readonly [low: number, high: number];

/**
 * Metrics on sets of examples that are drawn with replacement, as many as there are, again and again. Two measurements of the
 * same examples are drawn alike, so that their difference on each set is a draw of the difference ({@link differenceOf}).
 * Nothing is drawn from fewer than two examples or groups.
 *
 * @param measure the metrics when example i counts `times[i]` times, such as {@link numberMeasure} gives
 * @param size the number of examples
 * @see Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13
 */
export function bootstrapDraws(
  measure: (times: Uint32Array) => Readonly<Record<string, number>>,
  size: number,
  { samples = 1000, seed = 0, groups }: Omit<BootstrapOptions, 'level'> = {},
): Draws {
  const numbers = groups && new Map([...new Set(Array.from(groups))].map((group, i) => [group, i]));
  const units = numbers ? numbers.size : size;
  if (units < 2) return {};
  const groupOf = numbers && Int32Array.from({ length: size }, (_, i) => numbers.get(groups[i]!)!);
  const random = new Random(seed);
  const drawn = new Uint32Array(units);
  const times = groupOf ? new Uint32Array(size) : drawn;
  const draws: Record<string, Drawn> = {};
  for (let sample = 0; sample < samples; sample++) {
    drawn.fill(0);
    for (let i = 0; i < units; i++) drawn[random.index(units)]!++;
    if (groupOf) for (let i = 0; i < size; i++) times[i] = drawn[groupOf[i]!]!;
    for (const [name, value] of Object.entries(measure(times))) {
      draws[name] ??= { units, seed, values: new Float64Array(samples).fill(Number.NaN) };
      draws[name].values[sample] = value;
    }
  }
  return draws;
}

/**
 * Where metrics lie in the middle 95% of their draws. A metric that is no finite number in more than a tenth of the sets, as
 * AUROC is in sets of one class, has no interval.
 *
 * @param level the probability with which an interval holds the metric
 * @see SciPy's `bootstrap(method='percentile')`
 */
export function intervalsOf(draws: Draws, level = 0.95): Readonly<Record<string, Interval>> {
  return Object.fromEntries(
    Object.entries(draws).flatMap(([name, { values }]) => {
      const sorted = values.filter((value) => Number.isFinite(value)).sort();
      if (sorted.length < (1 - MOST_UNDEFINED) * values.length) return [];
      return [[name, [quantileOf(sorted, (1 - level) / 2), quantileOf(sorted, (1 + level) / 2)] as const]];
    }),
  );
}

/** The draws of one metric less another on the same sets; undefined where the sets are not the same. */
export function differenceOf(a: Drawn | undefined, b: Drawn | undefined): Drawn | undefined {
  if (!a || !b || a.units !== b.units || a.seed !== b.seed) return undefined;
  const { units, seed } = a;
  const length = Math.min(a.values.length, b.values.length);
  return { units, seed, values: Float64Array.from({ length }, (_, i) => a.values[i]! - b.values[i]!) };
}

/**
 * Intervals of metrics by the percentile bootstrap.
 *
 * @param measure the metrics when example i counts `times[i]` times, such as {@link numberMeasure} gives
 * @param size the number of examples
 * @see bootstrapDraws
 * @see intervalsOf
 */
export function bootstrapIntervals(
  measure: (times: Uint32Array) => Readonly<Record<string, number>>,
  size: number,
  { level, ...options }: BootstrapOptions = {},
): Readonly<Record<string, Interval>> {
  return intervalsOf(bootstrapDraws(measure, size, options), level);
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
): Interval {
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

/** The value below which a share of sorted values lies, between two of them on the line through both; NaN of none. */
export function quantileOf(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (at - below) * (high - low);
}
