/** @file Compares configurations with the base, corrected for choosing the best of many. */

import { Random } from '@onnx-lora/sdk/data';
import { FEWEST_SHOWN, type Drawn, type Interval, quantileOf } from '@onnx-lora/sdk/tasks';
import { grouped, short } from '../terminal/table.ts';
import type { Metric } from './halving.ts';
import { meanOf } from './statistics.ts';

export interface AgainstBase {
  /** The base's score on the same examples. */
  readonly base: number;
  /** How much better the configuration is: above 0, whichever way the metric goes. */
  readonly difference: number;
  /** Simultaneous 95% interval of the difference; absent without draws or with too few held-out examples. */
  readonly interval?: Interval;
}

export interface DrawnTrial {
  readonly base: number;
  readonly difference: number;
  readonly drawn: Drawn | undefined;
}

const LEVEL = 0.95;

/**
 * The mean of trials per bootstrap set; several trials are resampled, so that an interval also covers other seeds.
 * Configurations with equally many trials share the resampling.
 */
export function meanOfDraws(trials: readonly (Drawn | undefined)[]): Drawn | undefined {
  const [first, ...others] = trials;
  if (!first || others.some((each) => each === undefined)) return undefined;
  const all = trials as readonly Drawn[];
  const length = Math.min(...all.map(({ values }) => values.length));
  const random = new Random(0);
  const pick = (): Drawn => all[random.index(all.length)]!;
  const values = Float64Array.from({ length }, (_, set) => meanOf(all.map(() => pick().values[set]!)));
  return { units: Math.min(...all.map(({ units }) => units)), seed: first.seed, values };
}

/**
 * Differences to the base, with simultaneous intervals: all use the same pair of opposite quantiles, chosen so that in
 * 95% of sets no configuration lies outside its own. For one configuration this is the percentile interval. Draws on
 * the same held-out examples share sets, so that similar configurations widen the intervals little.
 * @param configurations trials of each; none for an unfinished one
 * @see Beran: Balanced Simultaneous Confidence Sets, Journal of the American Statistical Association 83 (1988), 679–686
 */
export function againstBase(configurations: readonly (readonly DrawnTrial[])[]): (AgainstBase | undefined)[] {
  const means = configurations.map((trials) => meanOfDraws(trials.map(({ drawn }) => drawn)));
  const drawn = means.map((each) => (each && each.units >= FEWEST_SHOWN ? each.values : undefined));
  const known = drawn.filter((each) => each !== undefined);
  const sets = Math.min(...known.map(({ length }) => length));
  const farthest = new Float64Array(Number.isFinite(sets) ? sets : 0);
  for (const values of known)
    depths(values).forEach((depth, set) => (farthest[set] = Math.max(farthest[set] ?? 0, depth)));
  const reach = quantileOf(farthest.sort(), LEVEL);
  return configurations.map((trials, i) => {
    if (trials.length === 0) return undefined;
    const sorted = drawn[i] && Float64Array.from(drawn[i]).sort();
    return {
      base: meanOf(trials.map(({ base }) => base)),
      difference: meanOf(trials.map(({ difference }) => difference)),
      ...(sorted && { interval: [quantileOf(sorted, (1 - reach) / 2), quantileOf(sorted, (1 + reach) / 2)] as const }),
    };
  });
}

/** How extreme each value is: 0 in the middle, 1 at either end. Ties share their middle rank. */
function depths(values: Float64Array): Float64Array {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  const result = new Float64Array(values.length);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    const place = (from + to - 1) / 2 / Math.max(1, order.length - 1);
    for (; from < to; from++) result[order[from]!] = Math.abs(2 * place - 1);
  }
  return result;
}

export interface SweepVerdict {
  /** `unknown` without intervals: the task gives no draws, too few examples are held out, or nothing is finished. */
  readonly outcome: 'some' | 'none' | 'unknown';
  readonly text: string;
}

interface Compared {
  readonly configuration: { readonly name: string };
  readonly score?: number;
  readonly against?: AgainstBase;
  readonly leftAt?: object;
}

export function isShown({ against }: Compared): boolean {
  return against?.interval !== undefined && against.interval[0] > 0;
}

/** The verdict on all configurations by their simultaneous intervals. */
export function sweepVerdict(results: readonly Compared[], metric: Metric): SweepVerdict {
  const compared = results.filter(({ against }) => against?.interval);
  const [first] = compared;
  if (!first) {
    const why = results.some(({ against }) => against)
      ? 'the task measures no single examples, or too few are held out'
      : 'no configuration was trained to its end with all its seeds, and measured beside the base';
    return { outcome: 'unknown', text: `Whether any of these is better than the base is not shown: ${why}.` };
  }
  const shown = compared.filter(isShown);
  const of = shown.length > 0 ? shown : compared;
  const best = of.reduce((most, each) => (each.against!.difference > most.against!.difference ? each : most));
  const { base, difference, interval } = best.against!;
  const count = compared.length;
  const left = results.filter(({ leftAt }) => leftAt).length;
  const others = left === 0 ? '' : `, but not for ${grouped(left)} that halving left`;
  const corrected = count === 1 && left === 0 ? '' : `, corrected for having ${grouped(count)} to choose from${others}`;
  const told = `${metric.name} ${short(best.score!)} where the base has ${short(base)}, better by ${short(difference)} (95%${corrected}: ${short(interval![0])} to ${short(interval![1])})`;
  if (shown.length === 0) {
    const none = count === 1 ? 'This configuration is not' : `None of these ${grouped(count)} configurations is`;
    return {
      outcome: 'none',
      text: `${none} shown to be better than the base. ${count === 1 ? 'It measured' : `The best, ${best.configuration.name}, measured`} ${told}. More held-out examples or more steps may show it.`,
    };
  }
  const some =
    count === 1
      ? 'It is'
      : `${grouped(shown.length)} of ${grouped(count)} configurations ${shown.length === 1 ? 'is' : 'are'}`;
  return {
    outcome: 'some',
    text: `${some} shown to be better than the base. Farthest from it is ${best.configuration.name}: ${told}.`,
  };
}
