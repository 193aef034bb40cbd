/** @file Checks all trials of a sweep before the first begins, as `train` checks a run. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { worseMetric } from '@onnx-lora/sdk/tasks';
import type { Context } from '../context.ts';
import { planRun, type Shared } from '../run/planning.ts';
import { checkNames } from '../settings/choices.ts';
import { metricChoice } from '../settings/training.ts';
import { usageError } from '../terminal/errors.ts';
import type { Progress } from '../terminal/progress.ts';
import type { SweepPlan } from './configurations.ts';
import type { Metric } from './halving.ts';

/** Caches the last value of each kind: neighbouring trials share most, and all would not fit in memory. */
export function lastOfEach(): Shared {
  const kept = new Map<string, { readonly key: string; readonly made: Promise<unknown> }>();
  return <T>(what: string, key: unknown, make: () => Promise<T>): Promise<T> => {
    const text = JSON.stringify(key);
    const before = kept.get(what);
    if (before?.key === text) return before.made as Promise<T>;
    const made = make();
    kept.set(what, { key: text, made });
    return made;
  };
}

/**
 * Plans every trial as `train` does.
 * @returns the metric for comparison, if the task can name its metrics beforehand
 * @throws OnnxLoraError of the first invalid trial, naming it
 */
export async function checkTrials(
  { configurations }: SweepPlan,
  context: Context,
  progress: Progress,
): Promise<Metric | undefined> {
  const shared = lastOfEach();
  const turns = Math.max(...configurations.map(({ trials }) => trials.length));
  // Seed by seed, since data depends on seeds alone.
  const all = Array.from({ length: turns }, (_, turn) =>
    configurations.map(({ name, trials }) => ({ name, settings: trials[turn]!.settings })),
  ).flat();
  let metric: Metric | undefined;
  let isFinal: boolean | undefined;
  for (const [i, { name, settings }] of all.entries()) {
    progress.showLive(i + 1, all.length, `checking trial ${i + 1} of ${all.length}`);
    try {
      checkNames(settings, context.registry);
      if (settings.eval === false)
        throw usageError('A trial is compared by what it measures, and eval is false. Leave it out.');
      const planned = (own: typeof settings): ReturnType<typeof planRun> => planRun(own, context, { named: undefined, progress, shared }); // prettier-ignore
      // Final measures, such as word error rates, are no metric of the training.
      isFinal ??= (await planned(withoutMetric(settings))).prepared.measure !== undefined;
      const { measures, prepared } = await planned(isFinal ? withoutMetric(settings) : settings);
      if (!measures)
        throw usageError('There is nothing to compare trials by: no data are held out. Hold some out, such as validation: 0.2.'); // prettier-ignore
      if (!isFinal) metric ??= metricOf(settings.metric, () => prepared.metrics().result());
      else if (settings.metric !== undefined) metric ??= { ...metricNamed(settings.metric), isFinal };
    } catch (error) {
      if (!(error instanceof OnnxLoraError)) throw error;
      throw new OnnxLoraError(error.code, `${name}: ${error.message}`, { cause: error });
    }
  }
  return metric;
}

/**
 * The requested metric, or the task's first; undefined if unknown without examples.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unmeasured metric, where that is known
 */
function metricOf(asked: string | undefined, empty: () => Readonly<Record<string, number>>): Metric | undefined {
  let names: readonly string[] = [];
  try {
    names = Object.keys(empty());
  } catch {
    // Some collectors fail without examples.
  }
  const metric = asked ?? names[0];
  if (metric === undefined) return undefined;
  const named = metricNamed(metric);
  if (names.length > 0 && !names.includes(named.name)) throw notMeasured(named.name, names);
  return named;
}

/** The error about an unmeasured metric. */
export function notMeasured(metric: string, names: readonly string[]): OnnxLoraError {
  return usageError(`The metric "${metric}" is not among those that are measured: ${names.join(', ')}. Name one of them (metric).`); // prettier-ignore
}

/** Settings without the metric. */
export function withoutMetric<S extends { readonly metric?: unknown }>(settings: S): Omit<S, 'metric'> {
  const { metric: _, ...own } = settings;
  return own;
}

/** Parses a metric, with its direction as runs have it. */
export function metricNamed(text: string): Metric {
  const choice = metricChoice(text);
  return { name: choice.name, isLower: worseMetric({ [choice.name]: 0 }, { [choice.name]: 1 }, choice) !== undefined };
}
