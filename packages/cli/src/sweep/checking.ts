/** @file What can be wrong with the trials of a sweep, found out before the first of them begins, by what `train` itself checks with. */

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

/** Keeps the last of each kind: neighbours have most in common, and data of many seeds would not fit in memory. */
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
 * Plans every trial as `train` does, without training.
 *
 * @returns the metric by which they are compared, where the task can name its metrics beforehand
 * @throws OnnxLoraError of the first trial that cannot be, naming it
 */
export async function checkTrials(
  { configurations }: SweepPlan,
  context: Context,
  progress: Progress,
): Promise<Metric | undefined> {
  const shared = lastOfEach();
  const turns = Math.max(...configurations.map(({ trials }) => trials.length));
  // All configurations with one seed, then with the next: data depend on seeds alone.
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
      // What is measured only after training, such as error rates of transcripts, is no metric of the training.
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
 * The metric that is asked for, or the task's first; undefined where it cannot be known without examples.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for one that the task does not measure, where that can be known
 */
function metricOf(asked: string | undefined, empty: () => Readonly<Record<string, number>>): Metric | undefined {
  let names: readonly string[] = [];
  try {
    names = Object.keys(empty());
  } catch {
    // Some collectors measure nothing where nothing came.
  }
  const metric = asked ?? names[0];
  if (metric === undefined) return undefined;
  const named = metricNamed(metric);
  if (names.length > 0 && !names.includes(named.name)) throw notMeasured(named.name, names);
  return named;
}

/** The error about a metric that trials do not have. */
export function notMeasured(metric: string, names: readonly string[]): OnnxLoraError {
  return usageError(`The metric "${metric}" is not among those that are measured: ${names.join(', ')}. Name one of them (metric).`); // prettier-ignore
}

/** Settings of a training that is not told by what its trial will be compared. */
export function withoutMetric<S extends { readonly metric?: unknown }>(settings: S): Omit<S, 'metric'> {
  const { metric: _, ...own } = settings;
  return own;
}

/** A metric by its name, with which way is better as runs have it. */
export function metricNamed(text: string): Metric {
  const choice = metricChoice(text);
  return { name: choice.name, isLower: worseMetric({ [choice.name]: 0 }, { [choice.name]: 1 }, choice) !== undefined };
}
