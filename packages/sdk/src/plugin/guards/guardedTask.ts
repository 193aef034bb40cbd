/** @file A task whose failures say which task it is, and in which function it fails. */

import { OnnxLoraError } from '../../errors.ts';
import { namesIn, watchedNames } from '../../train/graph/missedNames.ts';
import { badPart, guard, type Guarded } from './guard.ts';
import type { MetricCollector, Metrics } from '../dataset.ts';
import type { NewHead, PreparedTask, Task } from '../preparedTask.ts';

/** Functions of a prepared task. */
type Callback = 'collate' | 'loss' | 'lossWeight' | 'metrics' | 'finish' | 'measure' | 'report';

/** Members that are no functions; a table, so that the compiler says when one is missing here. */
const facts: Readonly<Record<Exclude<keyof PreparedTask, Callback>, true>> = {
  train: true,
  validation: true,
  warnings: true,
  notes: true,
  outputs: true,
  head: true,
  inputSizes: true,
  smallerInputs: true,
};

/** Tasks that were prepared by a guarded one, for which nothing is left to do. */
const guarded = new WeakSet<object>();

/**
 * The task, but that its functions throw nothing other than `OnnxLoraError`: what else they throw becomes `PLUGIN_INVALID`
 * with the task's name, the function's name and the error as its cause. Functions are called on the objects that they belong
 * to, and those that a task does not have stay absent. Its datasets are as they are.
 *
 * @example
 * const data = await guardedTask(task).prepare(model);
 * await data.collate([]); // The task "cells" fails in collate: …
 */
export function guardedTask<Example, Scores extends Metrics, During extends Metrics>(
  task: Task<Example, Scores, During>,
): Task<Example, Scores, During> {
  const { name } = task;
  return {
    name,
    prepare: (model) =>
      guard(at(name, 'prepare'), async () => {
        const prepared = await task.prepare(model);
        requireCurrent(name, prepared);
        return guarded.has(prepared) ? prepared : guardedData(name, prepared);
      }),
  };
}

function guardedData<Example, Scores extends Metrics, During extends Metrics>(
  task: string,
  prepared: PreparedTask<Example, Scores, During>,
): PreparedTask<Example, Scores, During> {
  const data: PreparedTask<Example, Scores, During> = {
    train: prepared.train,
    ...factsOf(prepared),
    ...(prepared.head ? { head: guardedHead(task, prepared.head) } : {}),
    collate: (examples, progress) => guard(at(task, 'collate'), () => prepared.collate(examples, progress)),
    loss: (g, outputs, targets) => {
      const missed: string[] = [];
      const read = (): string => (missed.length === 0 ? '' : `It reads ${missed.at(-1)}, which is not there. `);
      return guard(
        at(task, 'loss', () => read() + namesOf(outputs, targets)),
        () => prepared.loss(g, watchedNames('output', outputs, missed), watchedNames('target', targets, missed)),
      );
    },
    ...(prepared.lossWeight
      ? { lossWeight: (targets) => guard(at(task, 'lossWeight'), () => prepared.lossWeight!(targets)) }
      : {}),
    metrics: () => guard(at(task, 'metrics'), () => guardedCollector(task, prepared.metrics())),
    ...(prepared.finish ? { finish: (request) => guard(at(task, 'finish'), () => prepared.finish!(request)) } : {}),
    ...(prepared.measure
      ? {
          measure: (request) =>
            guard(at(task, 'measure'), async () => {
              const measurement = await prepared.measure!(request);
              requireNumbers(at(task, 'measure'), measurement.metrics);
              return measurement;
            }),
        }
      : {}),
    ...(prepared.report ? { report: (request) => guard(at(task, 'report'), () => prepared.report!(request)) } : {}),
  };
  guarded.add(data);
  return data;
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for what only the former contract had */
function requireCurrent(task: string, prepared: object): void {
  if (!('decode' in prepared)) return;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The task "${task}" prepares decode(), which nothing calls. Its author must move it into what predictor() of the factory returns: filePredictor(model, { feeds, decode }, options).`,
  );
}

/** Those members that are there. */
function factsOf<Prepared extends PreparedTask>(prepared: Prepared): Partial<Prepared> {
  const names = (Object.keys(facts) as (keyof typeof facts)[]).filter((name) => prepared[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, prepared[name]])) as Partial<Prepared>;
}

function guardedHead(task: string, head: NewHead): NewHead {
  if (!head.probe) return head;
  return { ...head, probe: (features) => guard(at(task, 'probe'), () => head.probe!(features)) };
}

function guardedCollector<Scores extends Metrics>(
  task: string,
  collector: MetricCollector<Scores>,
): MetricCollector<Scores> {
  return {
    update: (outputs, targets) =>
      guard(
        at(task, 'update', () => namesOf(outputs, targets)),
        () => collector.update(outputs, targets),
      ),
    result: () =>
      guard(at(task, 'result'), () => {
        const metrics = collector.result();
        requireNumbers(at(task, 'result'), metrics);
        return metrics;
      }),
    ...(collector.intervals ? { intervals: () => guard(at(task, 'intervals'), () => collector.intervals!()) } : {}),
    ...(collector.confusion ? { confusion: () => guard(at(task, 'confusion'), () => collector.confusion!()) } : {}),
  };
}

/** NaN and infinity are numbers here: a correlation of equal values is none, and a loss may be without bound. */
function requireNumbers(about: Guarded, metrics: unknown): asserts metrics is Metrics {
  if (typeof metrics !== 'object' || metrics === null)
    throw badPart(about, `it gives ${shown(metrics)} in place of metrics by their names`);
  const bad = Object.entries(metrics).find(([, value]) => typeof value !== 'number');
  if (bad) throw badPart(about, `the metric "${bad[0]}" is ${shown(bad[1])}, which is no number`);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function at(task: string, where: string, told?: () => string): Guarded {
  return { part: `task "${task}"`, where, ...(told ? { facts: told } : {}) };
}

function namesOf(outputs: Readonly<Record<string, unknown>>, targets: Readonly<Record<string, unknown>>): string {
  return `Outputs: ${namesIn(outputs)}; targets, which are what collate gives: ${namesIn(targets)}.`;
}
