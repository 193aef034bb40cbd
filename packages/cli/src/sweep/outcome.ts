/** @file Results of a sweep: scores, costs, Pareto fronts, and methods against the baseline. */

import type { Configuration, SweepPlan, Trial } from './configurations.ts';
import { differenceOf, type Interval, intervalsOf, rangeOf } from '@onnx-lora/sdk/tasks';
import type { RunDraws } from '../run/draws.ts';
import { type AgainstBase, againstBase, type DrawnTrial, meanOfDraws, type SweepVerdict, sweepVerdict } from './againstBase.ts'; // prettier-ignore
import { type Metric, measuredAt } from './halving.ts';
import type { Journal, TrialRecord } from './journal.ts';
import { holm, intervalOfMean, meanOf, pairedTest, type PairedTest, type Resampling } from './statistics.ts';

export const costs = ['parameters', 'seconds', 'memory', 'bytes'] as const;
/** A cost: trained parameters, seconds of training, peak bytes of memory, bytes of the adapter's file. */
export type Cost = (typeof costs)[number];

export interface ConfigurationResult extends Partial<Record<Cost, number>> {
  readonly configuration: Configuration;
  /** Scores of finished trials, by seed and fold. */
  readonly scores: ReadonlyMap<string, number>;
  readonly score?: number;
  /** Interval of the mean: bootstrap over examples and trials, or Student's t over trials without draws. */
  readonly interval?: readonly [low: number, high: number];
  /** Comparison with the base on the same examples; only for finished configurations. */
  readonly against?: AgainstBase;
  /** Failed trials, and the first failure. */
  readonly failed: number;
  readonly failure?: string;
  /** Whether all trials are finished. */
  readonly isWhole: boolean;
  /** The rung where halving dropped it, and its score there. */
  readonly leftAt?: { readonly part: number; readonly score: number };
  /** Costs with it on the Pareto front. */
  readonly fronts: readonly Cost[];
}

/** A method's best configuration, tested against the baseline's. */
export interface MethodResult {
  readonly method: string;
  readonly best: ConfigurationResult;
  /** Above 0 is better, whichever way the metric goes; absent for the baseline. */
  readonly test?: PairedTest & {
    /** The p-value corrected by Holm's method. */
    readonly adjusted?: number;
  };
}

export interface SweepOutcome {
  readonly metric: Metric;
  readonly configurations: readonly ConfigurationResult[];
  /** Best first; methods without a finished configuration are left out. */
  readonly methods: readonly MethodResult[];
  readonly baseline: string;
  /** The base's score, if all trials measure it on the same examples. */
  readonly base?: number;
  readonly verdict: SweepVerdict;
  readonly trials: { readonly all: number; readonly done: number; readonly failed: number };
  readonly resampling: Resampling;
  readonly recommendation: string;
}

function keyOf({ seed, fold }: Trial): string {
  return fold === undefined ? String(seed) : `${seed}/${fold}`;
}

/** Draws of a trial's measurements, by its id. */
export type DrawsOfTrial = (id: string) => RunDraws;

/** Evaluates the journal, without the recommendation. */
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

/** Differences for the seeds and folds that both have; above 0 where `a` is better. */
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

/** Trials of a finished configuration, compared with the base. */
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

/** Clips a difference's interval to the metric's range. */
function inReach(test: PairedTest, { name }: Metric): PairedTest {
  const [least, most] = rangeOf(name);
  const interval = within(test.interval, [least - most, most - least]);
  return { ...test, ...(interval && { interval }) };
}

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

/** The Pareto front: points that no other dominates in cost and score. @returns their indices, cheapest first */
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

/** Whether trials differ in training examples, and the ratio of held-out to training examples. */
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
