/** @file `evaluate`: how good the base, or the base with an adapter, is at a task. */

import type { Adapter } from '../adapter/adapter.ts';
import { OnnxLoraError } from '../errors.ts';
import type { BadSample, Evaluation } from '../plugin/evaluation.ts';
import { guardedTask } from '../plugin/guardedTask.ts';
import type { PreparedTask, Task } from '../plugin/task.ts';
import { checkMachine } from '../runtime/providers.ts';
import type { Provider } from '../runtime/session.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import { attachHead } from './head/attachHead.ts';
import { modelFor } from './head/forAdapter.ts';
import type { Model } from './model.ts';
import type { BadSamplePolicy } from './training/batchQueue.ts';
import { oneOf, whole } from './training/checks.ts';
import { measure } from './training/measure.ts';

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** What is measured, and on which data. */
  readonly task: Task;
  /** The base alone without one. */
  readonly adapter?: Adapter;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
  /** Where to run; `auto` by default. */
  readonly provider?: Provider;
  /** Threads per operator on the CPU; all cores by default. */
  readonly threads?: number;
  /** Only the first so many examples. */
  readonly limit?: number;
  /** What becomes of an example that cannot be loaded: `fail` (the default), or `skip`, which leaves it out and names it in the result. */
  readonly onBadSample?: BadSamplePolicy;
  /** Accept an adapter that says it was trained on other weights. */
  readonly allowBaseMismatch?: boolean;
  /** Called after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/**
 * Evaluates on the task's held-out data, or on all of its data when none is held out.
 *
 * @throws OnnxLoraError as `task.prepare` and `model.session` do; `PLUGIN_INVALID` where the task itself fails
 */
export async function evaluate(model: Model, options: EvaluateOptions): Promise<Evaluation> {
  const { task, adapter, batchSize = 32, provider, threads, limit, allowBaseMismatch = false, onBatch } = options;
  whole('batchSize', batchSize, 1, 1_000_000);
  checkMachine(
    options,
    model.catalogue.providers.map((each) => each.name),
  );
  const onBadSample = oneOf('onBadSample', options.onBadSample ?? 'fail', ['fail', 'skip']);
  const bad: BadSample[] = [];
  const own = adapter ? modelFor<Model>(model, adapter) : model;
  const data = await guardedTask(task).prepare(own);
  const leaveOut =
    onBadSample === 'fail'
      ? undefined
      : (example: number, error: unknown): unknown =>
          bad.push({ example, message: error instanceof Error ? error.message : String(error) });
  const machine = {
    allowBaseMismatch,
    ...(provider === undefined ? {} : { provider }),
    ...(threads === undefined ? {} : { threads }),
  };
  const examples = data.validation ?? data.train;
  const evaluation = data.measure
    ? await measured(data, {
        model: own,
        ...(adapter ? { adapter } : {}),
        options: machine,
        batchSize,
        ...(limit === undefined ? {} : { limit }),
        ...(leaveOut ? { onBadSample: leaveOut } : {}),
        ...(onBatch ? { onBatch } : {}),
      })
    : await inOnePass();
  const total = Math.min(examples.length, limit ?? Infinity);
  if (bad.length > 0 && bad.length === total) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `None of the ${bad.length} examples can be loaded. The first: ${bad[0]!.message}`,
    );
  }
  return { ...evaluation, examples: total - bad.length, ...(bad.length > 0 ? { badSamples: bad } : {}) };

  async function inOnePass(): Promise<Evaluation> {
    const session = await headed(own, data, adapter)
      .withInputSizes(data.inputSizes ?? {})
      .withOutputs(data.outputs ?? [])
      .session({ adapters: adapter ? { adapter } : {}, ...machine });
    const run = (inputs: Feeds): Promise<Record<string, Tensor>> =>
      session.run(inputs, { adapter: adapter ? 'adapter' : null });
    try {
      return (await measure({
        data,
        examples,
        batchSize,
        limit,
        run,
        onBadSample: leaveOut,
        onBatch,
        hasIntervals: true,
      }))!;
    } finally {
      await session.release();
    }
  }
}

/** What the task measures in its own way. */
async function measured(
  data: PreparedTask,
  request: Parameters<NonNullable<PreparedTask['measure']>>[0],
): Promise<Omit<Evaluation, 'examples'>> {
  const start = performance.now();
  const measurement = await data.measure!(request);
  return { ...measurement, seconds: (performance.now() - start) / 1000 };
}

/**
 * The model with the untrained head that training would start from, where the data need another than the base's.
 *
 * @throws OnnxLoraError `DATA_INVALID` for an adapter whose head is for other labels
 */
function headed(model: Model, { head }: PreparedTask, adapter: Adapter | undefined): Model {
  if (!head) return model;
  if (!adapter) return attachHead<Model>(model, head).model;
  // The task was prepared for the base, and this is what became of it.
  if (adapter.notes.labels?.join('\n') === head.labels.join('\n')) return model;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The data have other labels than the adapter: ${head.labels.slice(0, 10).join(', ')}${head.labels.length > 10 ? ', …' : ''}. Measure it on data with the labels that it was trained on${adapter.notes.labels ? `: ${adapter.notes.labels.slice(0, 10).join(', ')}` : ''}.`,
  );
}
