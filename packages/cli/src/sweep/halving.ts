/** @file Chooses the next trials: all, or by successive halving. */

import { meanOf } from './statistics.ts';
import type { Configuration, SweepPlan, Trial } from './configurations.ts';
import type { Journal, MeasuredTrial } from './journal.ts';
import type { SweepOptions } from '../settings/sweep.ts';

/** A trial, and the part of it to run. */
export interface Task {
  readonly configuration: Configuration;
  readonly trial: Trial;
  /** Fraction of all steps. */
  readonly part: number;
}

export interface Metric {
  readonly name: string;
  readonly isLower: boolean;
  /** Whether it is measured only after training, as word error rates are; the training must not get it. */
  readonly isFinal?: boolean;
}

/** Fractions of a run per rung, ending with 1; one rung without halving. */
export function rungsOf(
  { configurations, methods }: SweepPlan,
  { search, factor, rungs }: Pick<SweepOptions, 'search' | 'factor' | 'rungs'>,
): number[] {
  if (search !== 'halving') return [1];
  const most = Math.max(...methods.map((name) => configurations.filter(({ method }) => method === name).length));
  // Counted in integers: logarithms round wrongly for 9 configurations by 3.
  let count = 1;
  for (let left = most; left > 1; left = Math.ceil(left / factor)) count++;
  const all = rungs ?? count;
  return Array.from({ length: all }, (_, i) => 1 / factor ** (all - 1 - i));
}

/** Total work in whole trials. */
export function workOf({ configurations, methods }: SweepPlan, rungs: readonly number[], factor: number): number {
  const turns = configurations[0]!.trials.length;
  return methods.reduce((sum, name) => {
    let left = configurations.filter(({ method }) => method === name).length;
    for (const [rung, part] of rungs.entries()) {
      sum += left * turns * (part - (rungs[rung - 1] ?? 0));
      left = Math.ceil(left / factor);
    }
    return sum;
  }, 0);
}

/** The measurement at a rung; a finished trial's last one counts for all later rungs. */
export function measuredAt(journal: Pick<Journal, 'get'>, id: string, part: number): MeasuredTrial | undefined {
  const { measured = [], status } = journal.get(id) ?? {};
  return measured.find((each) => each.part === part) ?? (status === 'done' ? measured.at(-1) : undefined);
}

/** Mean score of a configuration at a rung; undefined while a trial is missing, the worst value if one failed. */
function scoreAt(
  { trials }: Configuration,
  part: number,
  journal: Pick<Journal, 'get'>,
  { name, isLower }: Metric,
): number | undefined {
  const worst = isLower ? Infinity : -Infinity;
  const values: number[] = [];
  for (const { id } of trials) {
    if (journal.get(id)?.status === 'failed') return worst;
    const measured = measuredAt(journal, id, part);
    if (!measured) return undefined;
    const value = measured.metrics[name] ?? NaN;
    values.push(Number.isNaN(value) ? worst : value);
  }
  return meanOf(values);
}

/** Configurations that reach a rung; undefined until known. */
function reaching(
  configurations: readonly Configuration[],
  rung: number,
  { rungs, factor, journal, metric }: Choosing,
): readonly Configuration[] | undefined {
  if (rung === 0) return configurations;
  const before = reaching(configurations, rung - 1, { rungs, factor, journal, metric });
  const scored = before?.map((configuration) => ({
    configuration,
    score: scoreAt(configuration, rungs[rung - 1]!, journal, metric),
  }));
  if (!scored || scored.some(({ score }) => score === undefined)) return undefined;
  // Ties keep the file's order.
  const sorted = scored.sort((a, b) => (metric.isLower ? a.score! - b.score! : b.score! - a.score!) || 0);
  return sorted.slice(0, Math.ceil(sorted.length / factor)).map(({ configuration }) => configuration);
}

export interface Choosing {
  readonly rungs: readonly number[];
  readonly factor: number;
  readonly journal: Pick<Journal, 'get'>;
  readonly metric: Metric;
}

/**
 * The trials to run, lower rungs first, and within a rung seed by seed. Each method is halved separately, so that all
 * get equal effort.
 */
export function nextTasks({ configurations, methods }: SweepPlan, choosing: Choosing): Task[] {
  const { rungs, journal } = choosing;
  const tasks = methods.flatMap((name) => {
    const own = configurations.filter(({ method }) => method === name);
    for (let rung = rungs.length - 1; rung >= 0; rung--) {
      const reached = reaching(own, rung, choosing);
      if (!reached) continue;
      return reached.flatMap((configuration) =>
        configuration.trials.map((trial, turn) => ({ task: { configuration, trial, part: rungs[rung]! }, turn })),
      );
    }
    return [];
  });
  return tasks
    .filter(({ task: { trial, part } }) => {
      const isOver = ['done', 'failed'].includes(journal.get(trial.id)?.status ?? '');
      return !isOver && !measuredAt(journal, trial.id, part);
    })
    .sort((a, b) => a.task.part - b.task.part || a.turn - b.turn)
    .map(({ task }) => task);
}
