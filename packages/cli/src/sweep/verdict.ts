/** @file Whether any configuration of a sweep is shown to be better than the base. */

import { grouped, short } from '../terminal/table.ts';
import type { Metric } from './halving.ts';
import type { AgainstBase } from './againstBase.ts';

/** Whether any configuration is shown to be better than the base. */
export interface SweepVerdict {
  /** `unknown` where no interval is known: the task gives no draws, too few examples are held out, or nothing is made whole. */
  readonly outcome: 'some' | 'none' | 'unknown';
  readonly text: string;
}

/** What has come of a configuration, as far as the verdict looks at it. */
interface Compared {
  readonly configuration: { readonly name: string };
  readonly score?: number;
  readonly against?: AgainstBase;
  readonly leftAt?: object;
}

/** Whether a configuration is shown to be better than the base. */
export function isShown({ against }: Compared): boolean {
  return against?.interval !== undefined && against.interval[0] > 0;
}

/** The verdict on all configurations, whose intervals hold at once. */
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
