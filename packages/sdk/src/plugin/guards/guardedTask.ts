/** @file Tasks, factories and predictors that name themselves and the function when they fail. */

import { OnnxLoraError } from '../../errors.ts';
import type { InnerFragment } from '../../train/graph/innerFragments.ts';
import { withComparisonOf } from '../../train/graph/comparingLoss.ts';
import { namesIn, watchedNames } from '../../train/graph/addLoss.ts';
import type { MetricCollector } from '../dataset.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { Predictor } from '../predictor.ts';
import type { PreparedTask, Task } from '../preparedTask.ts';
import { settingsOf } from '../settings.ts';
import type { PredictorOptions, TaskFactory, TaskOptions } from '../taskFactory.ts';
import { type At, badPart, guard, guarded, type Guarded, type Members } from './guard.ts';

/** Results of guarded tasks, which need no further guard. */
const done = new WeakSet<object>();

/**
 * Guards a task: its functions throw only `OnnxLoraError`. Any other error becomes `PLUGIN_INVALID` with the names of
 * the task and the function, and the error as its cause. Methods keep their object, missing members stay absent, and
 * datasets are not guarded.
 * @example
 * const data = await guardedTask(task).prepare(model);
 * await data.collate([]); // The task "cells" fails in collate: …
 */
export function guardedTask<Example, Scores extends Metrics, During extends Metrics>(
  task: Task<Example, Scores, During>,
): Task<Example, Scores, During> {
  const { name } = task;
  const at = atTask(name);
  return {
    name,
    prepare: (model) =>
      guard(at('prepare'), async () => {
        const prepared = await task.prepare(model);
        requireCurrent(name, prepared);
        if (done.has(prepared)) return prepared;
        const data = guarded(at, prepared, membersOf<Example, Scores, During>(at));
        done.add(data);
        return data;
      }),
  };
}

/** Guards a factory and its tasks, as {@link guardedTask}. It receives settings that its table has checked. */
export function guardedFactory(factory: TaskFactory): TaskFactory {
  const at = atTask(factory.name);
  const table = factory.settings ?? settingsOf<unknown>({});
  const checked = <Options extends PredictorOptions | TaskOptions>(options: Options): Options =>
    options.settings
      ? { ...options, settings: table.check(options.settings, { owner: `The task "${factory.name}"` }) }
      : options;
  return guarded(at, factory, {
    name: 'as-is',
    description: 'as-is',
    settings: 'as-is',
    defaults: 'as-is',
    input: 'as-is',
    create: (create) => (options) => {
      const own = checked(options);
      return guard(at('create'), () => guardedTask(create(own)));
    },
    predictor:
      (predictor) =>
      (model, options = {}) =>
        guard(at('predictor'), async () => guardedPredictor(await predictor(model, checked(options)), at)),
  });
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for the `feeds` and `decode` of the former contract */
function guardedPredictor(predictor: Predictor, at: At): Predictor {
  if (typeof predictor.predict !== 'function') {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The predictor of the ${at('').part} has no predict(). Its author must return filePredictor(model, { feeds, decode }, options), or recordPredictor(…) where files hold records.`,
    );
  }
  return guarded(at, predictor, {
    adapters: 'as-is',
    predict: 'each',
    writer: 'call',
    writerEndings: 'as-is',
    sections: 'call',
    release: 'call',
    [Symbol.asyncDispose]: (dispose) => () => guard(at('release'), dispose),
  });
}

function atTask(name: string): At {
  return (where, facts) => ({ part: `task "${name}"`, where, ...(facts ? { facts } : {}) });
}

function membersOf<Example, Scores extends Metrics, During extends Metrics>(
  at: At,
): Members<PreparedTask<Example, Scores, During>> {
  const collector: Members<MetricCollector<During>> = {
    update: (update) => (outputs, targets) =>
      guard(
        at('update', () => namesOf(outputs, targets)),
        () => update(outputs, targets),
      ),
    result: (result) => () => guard(at('result'), () => numbers(at('result'), result())),
    draws: 'call',
    confusion: 'call',
  };
  return {
    train: 'as-is',
    validation: 'as-is',
    warnings: 'as-is',
    notes: 'as-is',
    alsoFits: 'as-is',
    outputs: 'as-is',
    inputSizes: 'as-is',
    head: (head) =>
      head.probe ? { ...head, probe: (features) => guard(at('probe'), () => head.probe!(features)) } : head,
    inside: (inside) =>
      Object.fromEntries(
        Object.entries(inside).map(([value, fragment]): [string, InnerFragment] => [
          value,
          (g, own, site) => guard(at('inside'), () => fragment(g, own, site)),
        ]),
      ),
    begin: 'call',
    collate: 'call',
    loss: (loss) => {
      const watched: typeof loss = (g, outputs, targets) => {
        const missed: string[] = [];
        const read = (): string => (missed.length === 0 ? '' : `It reads ${missed.at(-1)}, but that does not exist. `);
        return guard(
          at('loss', () => read() + namesOf(outputs, targets)),
          () => loss(g, watchedNames('output', outputs, missed), watchedNames('target', targets, missed)),
        );
      };
      return withComparisonOf({ loss }, watched);
    },
    lossWeight: 'call',
    metrics: (metrics) => () => guard(at('metrics'), () => guarded(at, metrics(), collector)),
    narrowed: ({ model, batches }) => ({
      model: (own) => guard(at('narrowed.model'), () => model(own)),
      batches: (batch, own) => guard(at('narrowed.batches'), () => batches(batch, own)),
    }),
    finish: 'call',
    measure: (measure) => (request) =>
      guard(at('measure'), async () => {
        const measurement = await measure(request);
        numbers(at('measure'), measurement.metrics);
        return measurement;
      }),
    report: 'call',
  };
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for members of the former contract */
function requireCurrent(task: string, prepared: object): void {
  if (!('decode' in prepared)) return;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The task "${task}" prepares decode(), which nothing calls. Its author must move it into what predictor() of the factory returns: filePredictor(model, { feeds, decode }, options).`,
  );
}

/** Accepts NaN and infinity: a correlation of equal values is undefined, and a loss may be infinite. */
function numbers<Found extends Metrics>(about: Guarded, metrics: Found): Found {
  if (typeof metrics !== 'object' || metrics === null)
    throw badPart(about, `it gives ${shown(metrics)} in place of metrics by their names`);
  const bad = Object.entries(metrics).find(([, value]) => typeof value !== 'number');
  if (!bad) return metrics;
  throw badPart(about, `the metric "${bad[0]}" is ${shown(bad[1])}, not a number`);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function namesOf(outputs: Readonly<Record<string, unknown>>, targets: Readonly<Record<string, unknown>>): string {
  return `Outputs: ${namesIn(outputs)}; targets, which are what collate gives: ${namesIn(targets)}.`;
}
