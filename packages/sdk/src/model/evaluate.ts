/** @file `evaluate`: the metrics of a task for the base, alone or with an adapter. */

import type { Adapter } from '../adapter/adapter.ts';
import { OnnxLoraError } from '../errors.ts';
import { knownOptions } from '../knownOptions.ts';
import type { BadSample, Evaluation } from '../plugin/events.ts';
import { withoutUndefined } from '../plugin/withoutUndefined.ts';
import type { ExampleSet } from '../data/exampleSet.ts';
import { guardedTask } from '../plugin/guards/guardedTask.ts';
import type { Dataset } from '../plugin/dataset.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { HeadValues, NewHead, PreparedTask, Task } from '../plugin/preparedTask.ts';
import { intervalsOf } from '../statistics/bootstrap.ts';
import { type RunnableOptions, rowsPerRun } from '../plugin/taskModel.ts';
import { checkMachine } from '../runtime/providers/providers.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import { attachHead } from './head/attachHead.ts';
import { probedHead } from './initial/probedHead.ts';
import { modelForAdapter } from './head/forAdapter.ts';
import type { Model } from './loaded/model.ts';
import type { BadSamplePolicy } from './training/batchQueue.ts';
import { oneOf, whole } from '../checks.ts';
import { trainDefaults } from './training/options/options.ts';
import { measure } from './training/measure.ts';
import { requireAdapters, requireModel, requireTask } from './loaded/argumentChecks.ts';

/** Options of {@link evaluate}. */
export interface EvaluateOptions<Scores extends Metrics = Metrics> extends Pick<
  RunnableOptions,
  'provider' | 'threads' | 'allowBaseMismatch'
> {
  /** The task with its data. */
  readonly task: Task<unknown, Scores, Metrics>;
  /** The adapter to evaluate; without one, the base alone. */
  readonly adapter?: Adapter;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
  /** Evaluates only the first examples, up to this number. */
  readonly limit?: number;
  /** The adapter's training examples, if known. */
  readonly trainedOn?: ExampleSet;
  /** `held-out` (default): held-out examples, or all if none are held out, without `trainedOn`. `all`: all examples. */
  readonly split?: 'held-out' | 'all';
  /** For an example that cannot be loaded: `fail` (the default), or `skip`, which lists it in the result. */
  readonly onBadSample?: BadSamplePolicy;
  /** Called after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

// prettier-ignore
const requireKnown = knownOptions<EvaluateOptions>('evaluate', {
  task: true, adapter: true, batchSize: true, limit: true, trainedOn: true, split: true, onBadSample: true, onBatch: true,
  provider: true, threads: true, allowBaseMismatch: true,
});

/**
 * Evaluates on the task's held-out data, or on all of its data if none is held out, without the examples in
 * `trainedOn`. Returns the task's own metrics.
 * @example
 * const { metrics } = await evaluate(model, { task: imageClassification('photos', { validation: 0.2 }), adapter });
 * console.log(metrics.accuracy);
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, before the data are read; `CONFIG_INVALID`
 *   for an unknown or invalid option; `INPUT_INVALID` if an argument is not a model, task or adapter; `PLUGIN_INVALID`
 *   if the task fails; as `task.prepare` and `model.session`
 */
export async function evaluate<Scores extends Metrics = Metrics>(
  model: Model,
  options: EvaluateOptions<Scores>,
): Promise<Evaluation<Scores>> {
  requireModel('evaluate', model);
  requireKnown(options);
  requireTask('evaluate', options.task);
  if (options.adapter !== undefined) requireAdapters('evaluate', options.adapter);
  const { task, adapter, batchSize = trainDefaults.batchSize, limit, allowBaseMismatch = false, onBatch } = options;
  whole('batchSize', batchSize, 1, 1_000_000);
  checkMachine(
    options,
    model.registry.providers.map((each) => each.name),
  );
  const skips = oneOf('onBadSample', options.onBadSample ?? 'fail', ['fail', 'skip']) === 'skip';
  const split = oneOf('split', options.split ?? 'held-out', ['held-out', 'all']);
  const bad: BadSample[] = [];
  const own = adapter ? modelForAdapter(model, adapter) : model;
  // Before the data: with an adapter of another base, their errors would mislead.
  if (adapter) await own.place(adapter, { allowBaseMismatch });
  const data = await guardedTask(task).prepare(own);
  const { asked, known, kept } = await examplesOf(data, split, task.name, adapter && options.trainedOn);
  const examples = kept ? { length: kept.length, get: (index: number) => asked.get(kept[index]!) } : asked;
  const leaveOut = (example: number, error: unknown): unknown =>
    bad.push({
      example: (data.measure ? undefined : kept?.[example]) ?? example,
      message: error instanceof Error ? error.message : String(error),
    });
  const machine = { allowBaseMismatch, ...withoutUndefined({ provider: options.provider, threads: options.threads }) };
  const told = { batchSize, ...withoutUndefined({ limit, onBatch, onBadSample: skips ? leaveOut : undefined }) };
  let probed: HeadValues | undefined;
  const evaluation = data.measure
    ? await measured(data, {
        model: own,
        options: machine,
        ...told,
        ...withoutUndefined({ adapter, examples: kept?.slice(0, limit) }),
      })
    : await inOnePass();
  // A task with its own `measure` may ignore the chosen examples.
  const isWhole = kept !== undefined && data.measure !== undefined && evaluation.examples === undefined;
  const total = Math.min((isWhole ? asked : examples).length, limit ?? Infinity);
  if (bad.length > 0 && bad.length === total) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `None of the ${bad.length} examples can be loaded. The first: ${bad[0]!.message}`,
    );
  }
  const head = data.head && !adapter ? { [probed ? 'probedHead' : 'untrainedHead']: true } : {};
  return {
    ...(evaluation as Evaluation<Scores>),
    ...head,
    examples: total - bad.length,
    ...withoutUndefined({
      trainedOn: kept && !isWhole ? 0 : known && [...known].filter((i) => i < total).length,
      leftOut: kept && !isWhole ? known!.size : undefined,
      badSamples: bad.length > 0 ? bad : undefined,
    }),
  };

  /** The model with the head that training would start from, if the data need another head than the base's. */
  async function headed(): Promise<Model> {
    if (!data.head) return own;
    if (adapter) {
      requireHead(data.head, adapter);
      return own;
    }
    // Without held-out data the head stays untrained: it must not learn from the examples to be measured.
    const onBadSample = skips ? 'skip' : 'fail';
    probed =
      asked === data.validation ? await probedHead(own, data, { session: machine, batchSize, onBadSample }) : undefined;
    return attachHead(own, data.head, probed ? { values: probed } : {}).model;
  }

  async function inOnePass(): Promise<Evaluation> {
    const session = await (
      await headed()
    )
      .withInputSizes(data.inputSizes ?? {})
      .withOutputs(data.outputs ?? [])
      .session({ adapters: adapter ? { adapter } : {}, ...machine });
    const run = (inputs: Feeds): Promise<Record<string, Tensor>> =>
      session.run(inputs, { adapter: adapter ? 'adapter' : null });
    try {
      const rows = rowsPerRun(session, batchSize);
      return (await measure({ data, examples, run, ...told, batchSize: rows }))!.withIntervals();
    } finally {
      await session.release();
    }
  }
}

interface Examples {
  /** The requested examples, whatever the adapter has seen. */
  readonly asked: Dataset<unknown>;
  readonly known?: ReadonlySet<number> | undefined;
  /** The remaining indices; undefined if all are measured. */
  readonly kept?: readonly number[];
}

/** @throws OnnxLoraError `CONFIG_INVALID` for `all`, if the task measures its held-out data itself */
async function examplesOf(
  data: PreparedTask,
  split: 'held-out' | 'all',
  task: string,
  trainedOn: ExampleSet | undefined,
): Promise<Examples> {
  const { train, validation } = data;
  if (split === 'all' && data.measure && validation) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The task "${task}" evaluates held-out data in its own way. Give data without parts to measure all of them, or leave the split "all" out.`,
    );
  }
  const asked = split === 'all' && validation ? joined(train, validation) : (validation ?? train);
  const known = await trainedOn?.among(asked);
  // If the adapter was trained on all examples, all are measured, and the result reports it.
  const isDivided = known && split === 'held-out' && known.size > 0 && known.size < asked.length;
  const all = [...Array(asked.length).keys()];
  return { asked, known, ...(isDivided ? { kept: all.filter((i) => !known.has(i)) } : {}) };
}

function joined(a: Dataset<unknown>, b: Dataset<unknown>): Dataset<unknown> {
  const at = <T>(index: number, of: (dataset: Dataset<unknown>, own: number) => T): T =>
    index < a.length ? of(a, index) : of(b, index - a.length);
  return {
    length: a.length + b.length,
    get: (index) => at(index, (dataset, own) => dataset.get(own)),
    ...(a.keyOf && b.keyOf ? { keyOf: (index) => at(index, (dataset, own) => dataset.keyOf!(own)) } : {}),
  };
}

async function measured(
  data: PreparedTask,
  request: Parameters<NonNullable<PreparedTask['measure']>>[0],
): Promise<Omit<Evaluation, 'examples'> & { readonly examples?: number }> {
  const start = performance.now();
  const measurement = await data.measure!(request);
  const { draws } = measurement;
  return {
    ...measurement,
    ...(draws && { intervals: intervalsOf(draws) }),
    seconds: (performance.now() - start) / 1000,
  };
}

/** @throws OnnxLoraError `DATA_INVALID` if the adapter's labels differ from those of the data */
function requireHead(head: NewHead, adapter: Adapter): void {
  // The task was prepared for this adapter's model, so a remaining new head means other labels.
  if (adapter.notes.labels?.join('\n') === head.labels.join('\n')) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The data have other labels than the adapter: ${head.labels.slice(0, 10).join(', ')}${head.labels.length > 10 ? ', …' : ''}. Measure it on data with the labels that it was trained on${adapter.notes.labels ? `: ${adapter.notes.labels.slice(0, 10).join(', ')}` : ''}.`,
  );
}
