/** @file Confidence intervals by the percentile bootstrap. */

import { Random } from '../runtime/random.ts';

/** Options of the bootstrap. */
export interface BootstrapOptions {
  /** Number of resamples; 1,000 by default. */
  readonly samples?: number;
  /** Seeds the draws; 0 by default. */
  readonly seed?: number;
  /** Confidence level; 0.95 by default. */
  readonly level?: number;
  /** Group of each example, drawn whole, such as a residue's protein. By default each example is its own group. */
  readonly groups?: ArrayLike<number> | undefined;
}

/** A metric undefined in more resamples than this share has no interval: the rest would be lucky samples. */
const MOST_UNDEFINED = 0.1;

/** A metric's values over resamples drawn with replacement. */
export interface Drawn {
  /** Number of examples, or of groups, that are drawn from. */
  readonly units: number;
  /** Seed of the draws: the same seed and number of units give the same resamples. */
  readonly seed: number;
  /** The metric on each resample; NaN where undefined. */
  readonly values: Float64Array;
}

/** Bootstrap draws by metric name, all on the same resamples. */
export type Draws = Readonly<Record<string, Drawn>>;

/** Bounds of an interval. */
export type Interval = readonly [low: number, high: number];

/**
 * Metrics on bootstrap resamples; none for fewer than two examples or groups. Two measurements of the same `size`
 * examples get the same resamples, so their differences are paired ({@link differenceOf}).
 * @param measure metrics when example i counts `times[i]` times, such as {@link numberMeasure} gives
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

/** Percentile intervals, as in SciPy; none for a metric that is not finite in over a tenth of the resamples. */
export function intervalsOf(draws: Draws, level = 0.95): Readonly<Record<string, Interval>> {
  return Object.fromEntries(
    Object.entries(draws).flatMap(([name, { values }]) => {
      const sorted = values.filter((value) => Number.isFinite(value)).sort();
      if (sorted.length < (1 - MOST_UNDEFINED) * values.length) return [];
      return [[name, [quantileOf(sorted, (1 - level) / 2), quantileOf(sorted, (1 + level) / 2)] as const]];
    }),
  );
}

/** Paired differences of two metrics; undefined where their resamples differ. */
export function differenceOf(a: Drawn | undefined, b: Drawn | undefined): Drawn | undefined {
  if (!a || !b || a.units !== b.units || a.seed !== b.seed) return undefined;
  const { units, seed } = a;
  const length = Math.min(a.values.length, b.values.length);
  return { units, seed, values: Float64Array.from({ length }, (_, i) => a.values[i]! - b.values[i]!) };
}

/** Percentile bootstrap intervals of metrics ({@link bootstrapDraws}, {@link intervalsOf}). */
export function bootstrapIntervals(
  measure: (times: Uint32Array) => Readonly<Record<string, number>>,
  size: number,
  { level, ...options }: BootstrapOptions = {},
): Readonly<Record<string, Interval>> {
  return intervalsOf(bootstrapDraws(measure, size, options), level);
}

/** Percentile bootstrap interval of one metric ({@link bootstrapIntervals}); `[NaN, NaN]` where it has none. */
export function bootstrapInterval(
  metric: (times: Uint32Array) => number,
  size: number,
  options: BootstrapOptions = {},
): Interval {
  const { value } = bootstrapIntervals((times) => ({ value: metric(times) }), size, options);
  return value ?? [Number.NaN, Number.NaN];
}

/** Number of resamples: 1,000, but as few as 200 for tables of over a million cells, which would take minutes. */
export function drawsFor(cells: number): number {
  return Math.max(200, Math.min(1000, Math.floor(1e9 / cells)));
}

/** Quantile by linear interpolation between sorted values; NaN for no values. */
export function quantileOf(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (at - below) * (high - low);
}
