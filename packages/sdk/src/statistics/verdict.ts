/** @file Verdict on whether an adapter helps: its metric against the best baseline's. */

import { differenceOf, type Draws, type Interval, intervalsOf } from './bootstrap.ts';
import type { Metrics } from './measure.ts';
import { isLowerBetter, type MetricChoice } from './metricChoice.ts';

/** A measurement to compare: the result of `evaluate`, or a baseline's on the same examples. */
export interface ComparedMeasurement {
  /** Metrics by name. */
  readonly metrics: Metrics;
  /** Their bootstrap draws; without them there is no interval. */
  readonly draws?: Draws | undefined;
}

/** Options of {@link verdictOf}. */
export interface VerdictOptions {
  /** The metric to compare by; the first by default. */
  readonly metric?: MetricChoice | undefined;
  /** Name of the adapted model in the text; `LoRA` by default. */
  readonly name?: string | undefined;
}

/** Whether an adapter is shown to help. */
export interface Verdict {
  /** `helps` or `harms` where the 95% interval of the difference excludes 0; otherwise `undecided`. */
  readonly outcome: 'helps' | 'harms' | 'undecided';
  /** Name of the compared metric. */
  readonly metric: string;
  /** The metric with the adapter. */
  readonly adapted: number;
  /** The baseline with the best metric. */
  readonly baseline: { readonly name: string; readonly value: number };
  /** The adapted metric minus the baseline's. */
  readonly difference: number;
  /** 95% interval of the difference; absent where the task gives no draws or too few examples are held out. */
  readonly interval?: Interval;
  /** The verdict in a sentence. */
  readonly text: string;
}

/** With five examples, all better, a sign test still gives 2 · 2⁻⁵ = 0.06, while a bootstrap is certain. */
export const FEWEST_SHOWN = 6;

/**
 * Compares an adapter with the best of its baselines on the same held-out examples, by the paired percentile bootstrap.
 * Picking the best baseline on these examples favours the baselines.
 * @param baselines by name, such as the model without an adapter
 * @returns undefined where neither has the metric
 * @example
 * const base = await evaluate(model, { task });
 * const adapted = await evaluate(model, { task, adapter });
 * console.log(verdictOf(adapted, { 'the base': base })?.text);
 * @see Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapters 13 and 16
 */
export function verdictOf(
  adapted: ComparedMeasurement,
  baselines: Readonly<Record<string, ComparedMeasurement>>,
  { metric: choice, name = 'LoRA' }: VerdictOptions = {},
): Verdict | undefined {
  const metric = choice?.name ?? Object.keys(adapted.metrics)[0] ?? '';
  const own = adapted.metrics[metric];
  const isLower = isLowerBetter(metric, choice);
  const known = Object.entries(baselines).filter(([, { metrics }]) => Number.isFinite(metrics[metric]));
  if (own === undefined || known.length === 0) return undefined;
  const isBetter = (a: number, b: number): boolean => (isLower ? a < b : a > b);
  const [best, { metrics, draws }] = known.reduce((most, each) =>
    isBetter(each[1].metrics[metric]!, most[1].metrics[metric]!) ? each : most,
  );
  const value = metrics[metric]!;
  const drawn = differenceOf(adapted.draws?.[metric], draws?.[metric]);
  const isEnough = drawn !== undefined && drawn.units >= FEWEST_SHOWN;
  const interval = isEnough ? intervalsOf({ drawn })['drawn'] : undefined;
  const [low = 0, high = 0] = interval ?? [];
  const outcome = low > 0 || high < 0 ? (isBetter(low, 0) ? 'helps' : 'harms') : 'undecided';
  const difference = own - value;
  const range = interval
    ? `95%: ${signed(low)} to ${signed(high)}`
    : drawn && !isEnough
      ? `no interval: ${drawn.units} held-out examples are too few`
      : 'no interval: the task measures no single examples';
  const said = {
    helps: `${name} is shown to help`,
    harms: `${name} is shown to do worse`,
    undecided: `${name} is shown neither to help nor to do worse`,
  }[outcome];
  const text = `${metric} ${amount(own)} with ${name}, ${amount(value)} with ${best}; difference ${signed(difference)} (${range}): ${said}.`;
  return {
    outcome,
    metric,
    adapted: own,
    baseline: { name: best, value },
    difference,
    ...(interval && { interval }),
    text,
  };
}

/** Four significant digits with a true minus sign: `−0.0412`. */
function amount(value: number): string {
  return String(Number(value.toPrecision(4))).replace('-', '−');
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${amount(value)}`;
}
