/** @file What a sweep has found: each configuration's score and costs, the Pareto fronts, and methods held against the baseline. */

import type { Configuration, SweepPlan, Trial } from './configurations.ts';
import { differenceOf, type Interval, intervalsOf, rangeOf } from '@onnx-lora/sdk/tasks';
import type { RunDraws } from '../run/draws.ts';
import { type AgainstBase, againstBase, type DrawnTrial, meanOfDraws, type SweepVerdict, sweepVerdict } from './againstBase.ts'; // prettier-ignore
import { type Metric, measuredAt } from './halving.ts';
import type { Journal, TrialRecord } from './journal.ts';
import { holm, intervalOfMean, meanOf, pairedTest, type PairedTest, type Resampling } from './statistics.ts';

/** What a configuration costs. */
export const costs = ['parameters', 'seconds', 'memory', 'bytes'] as const;
/** One of the costs: trained numbers, seconds of training, the most bytes of memory, bytes of the adapter's file. */
export type Cost = (typeof costs)[number];

/** What has come of a configuration. */
export interface ConfigurationResult extends Partial<Record<Cost, number>> {
  readonly configuration: Configuration;
  /** Scores of trials that were made to their end, by seed and fold. */
  readonly scores: ReadonlyMap<string, number>;
  /** The mean of these. */
  readonly score?: number;
  /**
   * Of the mean, by a bootstrap over held-out examples and trials; where the task gives no draws by Student's t over trials, as far
   * as the metric goes.
   */
  readonly interval?: readonly [low: number, high: number];
  /** Beside the base on the same examples, where all trials were made to their end. */
  readonly against?: AgainstBase;
  /** Trials that failed, and why the first did. */
  readonly failed: number;
  readonly failure?: string;
  /** Whether all its trials were made to their end. */
  readonly isWhole: boolean;
  /** Where halving has left it: the part that was made, and its score there. */
  readonly leftAt?: { readonly part: number; readonly score: number };
  /** The costs by which no other that is as good or better costs less. */
  readonly fronts: readonly Cost[];
}

/** The best configuration of a method, held against that of the baseline. */
export interface MethodResult {
  readonly method: string;
  readonly best: ConfigurationResult;
  /** Better is above 0, whichever way the metric goes; absent of the baseline. */
  readonly test?: PairedTest & {
    /** The probability, as Holm's method has it for all methods together. */
    readonly adjusted?: number;
  };
}

/** All of it. */
export interface SweepOutcome {
  readonly metric: Metric;
  readonly configurations: readonly ConfigurationResult[];
  /** The best first. Those without a whole configuration are left out. */
  readonly methods: readonly MethodResult[];
  readonly baseline: string;
  /** What the base scores, where all trials measure it on the same examples. */
  readonly base?: number;
  /** Whether any configuration is shown to be better than the base. */
  readonly verdict: SweepVerdict;
  /** Trials, and how many were made to their end or need not be. */
  readonly trials: { readonly all: number; readonly done: number; readonly failed: number };
  readonly resampling: Resampling;
  readonly recommendation: string;
}

/** Which of its trials a score is of. */
function keyOf({ seed, fold }: Trial): string {
  return fold === undefined ? String(seed) : `${seed}/${fold}`;
}

/** Draws of what a trial has measured, by its number. */
export type DrawsOfTrial = (id: string) => RunDraws;

/** What the journal says of the plan, but for what to use. */
export function outcomeOf(
  plan: SweepPlan,
  metric: Metric,
  journal: Pick<Journal, 'get'>,
  drawsOf: DrawsOfTrial = () => ({}),
): Omit<SweepOutcome, 'recommendation'> {
  const { configurations, methods, baseline } = plan;
  const resampling = resamplingOf(configurations, journal);
  const alone = configurations.map((configuration) =>
    resultOf(configuration, metric, journal, { resampling, drawsOf }),
  );
  const against = againstBase(alone.map((each) => drawnTrials(each, metric, journal, drawsOf)));
  const results = withFronts(
    alone.map((each, i) => ({ ...each, ...(against[i] && { against: against[i] }) })),
    metric,
  );
  const best = methods.flatMap((method) => {
    const own = results.filter(({ configuration, isWhole }) => configuration.method === method && isWhole);
    return own.length === 0 ? [] : [{ method, best: own.reduce((a, b) => (isBetter(b, a, metric) ? b : a)) }];
  });
  const ofBaseline = best.find(({ method }) => method === baseline)?.best;
  const tests = best.map(({ method, best: own }) =>
    ofBaseline === undefined || method === baseline
      ? undefined
      : inReach(pairedTest(differences(own, ofBaseline, metric), resampling), metric),
  );
  const tested = tests.flatMap((test) => (test?.p === undefined ? [] : [test.p]));
  const adjusted = holm(tested);
  const held = best.map((each, i): MethodResult => {
    const test = tests[i];
    if (!test) return each;
    return { ...each, test: { ...test, ...(test.p === undefined ? {} : { adjusted: adjusted.shift()! }) } };
  });
  const trials = configurations.flatMap((each) => each.trials);
  const states = trials.map(({ id }) => journal.get(id));
  const bases = new Set(states.flatMap((state) => state?.before?.[metric.name] ?? []));
  return {
    metric,
    configurations: results,
    methods: held.sort((a, b) => (isBetter(a.best, b.best, metric) ? -1 : 1)),
    baseline,
    ...(bases.size === 1 ? { base: [...bases][0]! } : {}),
    verdict: sweepVerdict(results, metric),
    trials: {
      all: trials.length,
      done: states.filter((state) => state?.status === 'done').length,
      failed: states.filter((state) => state?.status === 'failed').length,
    },
    resampling,
  };
}

function isBetter(a: ConfigurationResult, b: ConfigurationResult, { isLower }: Metric): boolean {
  return isLower ? a.score! < b.score! : a.score! > b.score!;
}

/** By how much one is better than another, for each seed and fold that both have. */
export function differences(a: ConfigurationResult, b: ConfigurationResult, { isLower }: Metric): number[] {
  return [...a.scores].flatMap(([key, score]) => {
    const other = b.scores.get(key);
    return other === undefined ? [] : [isLower ? other - score : score - other];
  });
}

function resultOf(
  configuration: Configuration,
  metric: Metric,
  journal: Pick<Journal, 'get'>,
  { resampling, drawsOf }: { readonly resampling: Resampling; readonly drawsOf: DrawsOfTrial },
): ConfigurationResult {
  const { trials } = configuration;
  const states = trials.flatMap(({ id }) => journal.get(id) ?? []);
  const whole = trials.filter(({ id }) => journal.get(id)?.status === 'done');
  const scores = new Map(
    whole.map((trial) => [keyOf(trial), measuredAt(journal, trial.id, 1)?.metrics[metric.name] ?? NaN]),
  );
  const failures = states.flatMap(({ failure }) => failure ?? []);
  const values = [...scores.values()];
  const own = whole.length === 1 ? measuredAt(journal, whole[0]!.id, 1)?.intervals?.[metric.name] : undefined;
  const drawn = meanOfDraws(whole.map(({ id }) => drawsOf(id).after?.[metric.name]));
  const byTrials = within(intervalOfMean(values, resampling), rangeOf(metric.name));
  const interval = (drawn && intervalsOf({ drawn })['drawn']) ?? byTrials ?? own;
  const isWhole = whole.length === trials.length && values.every((value) => Number.isFinite(value));
  const mean = (name: Exclude<Cost, 'memory'>): Partial<Record<Cost, number>> => {
    const known = states.flatMap((state) => (state.status === 'done' ? (state[name] ?? []) : []));
    return known.length === 0 ? {} : { [name]: meanOf(known) };
  };
  const most = Math.max(0, ...states.map(({ memory = 0 }) => memory));
  return {
    configuration,
    scores,
    ...(Number.isFinite(meanOf(values)) ? { score: meanOf(values) } : {}),
    ...(interval ? { interval } : {}),
    failed: failures.length,
    ...(failures[0] ? { failure: failures[0].message } : {}),
    isWhole,
    ...(isWhole ? {} : leftAt(states, metric)),
    ...mean('parameters'),
    ...mean('seconds'),
    ...(most === 0 ? {} : { memory: most }),
    ...mean('bytes'),
    fronts: [],
  };
}

/** The trials of a configuration that was made whole, beside the base. */
function drawnTrials(
  { configuration, scores, isWhole }: ConfigurationResult,
  { name, isLower }: Metric,
  journal: Pick<Journal, 'get'>,
  drawsOf: DrawsOfTrial,
): DrawnTrial[] {
  if (!isWhole) return [];
  return configuration.trials.flatMap((trial) => {
    const base = journal.get(trial.id)?.before?.[name];
    if (base === undefined) return [];
    const score = scores.get(keyOf(trial))!;
    const [before, after] = [drawsOf(trial.id).before?.[name], drawsOf(trial.id).after?.[name]];
    const drawn = isLower ? differenceOf(before, after) : differenceOf(after, before);
    return [{ base, difference: isLower ? base - score : score - base, drawn }];
  });
}

/** The interval of a difference, as far as differences of the metric go. */
function inReach(test: PairedTest, { name }: Metric): PairedTest {
  const [least, most] = rangeOf(name);
  const interval = within(test.interval, [least - most, most - least]);
  return { ...test, ...(interval && { interval }) };
}

/** What of an interval lies within a range. */
function within(interval: Interval | undefined, [least, most]: Interval): Interval | undefined {
  return interval && [Math.max(least, interval[0]), Math.min(most, interval[1])];
}

function leftAt(states: readonly TrialRecord[], { name }: Metric): Pick<ConfigurationResult, 'leftAt'> {
  const part = Math.max(0, ...states.flatMap(({ measured }) => measured.map((each) => each.part)));
  const scores = states.flatMap(({ measured }) => measured.find((each) => each.part === part)?.metrics[name] ?? []);
  return scores.length === 0 || part === 1 ? {} : { leftAt: { part, score: meanOf(scores) } };
}

function withFronts(results: readonly ConfigurationResult[], metric: Metric): ConfigurationResult[] {
  const fronts = costs.map((cost) => {
    const known = results.filter((each) => each.isWhole && each[cost] !== undefined);
    const points = known.map((each) => ({ cost: each[cost]!, score: metric.isLower ? -each.score! : each.score! }));
    return new Set(paretoFront(points).map((i) => known[i]!));
  });
  return results.map((each) => ({ ...each, fronts: costs.filter((_, i) => fronts[i]!.has(each)) }));
}

/**
 * Which points are on the Pareto front: no other costs as little and scores as high, and better in one of the two.
 *
 * @returns their places in the list, the cheapest first
 */
export function paretoFront(points: readonly { readonly cost: number; readonly score: number }[]): number[] {
  const order = points.map((_, i) => i).sort((a, b) => points[a]!.cost - points[b]!.cost || points[b]!.score - points[a]!.score); // prettier-ignore
  const front: number[] = [];
  for (const i of order) {
    const last = points[front.at(-1)!];
    const isEqual = last?.cost === points[i]!.cost && last.score === points[i]!.score;
    if (!last || points[i]!.score > last.score || isEqual) front.push(i);
  }
  return front;
}

/** Whether trials with other seeds or folds are trained on other examples, and how many are held out of how many. */
function resamplingOf(configurations: readonly Configuration[], journal: Pick<Journal, 'get'>): Resampling {
  for (const { trials } of configurations) {
    const states = trials.flatMap(({ id }) => journal.get(id) ?? []);
    const sets = new Set(states.flatMap(({ trainedOn }) => trainedOn ?? []));
    const folds = new Set(trials.map(({ fold }) => fold));
    const examples = states[0]?.examples;
    if ((sets.size > 1 || folds.size > 1) && examples) return { ratio: examples.heldOut / examples.train };
  }
  return { ratio: 0 };
}
