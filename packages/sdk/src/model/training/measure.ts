/** @file Runs a task's examples and computes its metrics. */

import type { Evaluation } from '../../plugin/events.ts';
import type { Batch, Dataset } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { type BadExample, loadExamples } from '../../tasks/batches.ts';
import { intervalsOf } from '../../statistics/bootstrap.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';

/** A task, its examples, and how to run them. */
export interface MeasureRequest {
  readonly data: PreparedTask;
  readonly examples: Dataset<unknown>;
  readonly batchSize: number;
  readonly limit?: number | undefined;
  readonly run: (inputs: Feeds) => Promise<Readonly<Record<string, Tensor>>>;
  readonly batches?: ((batch: Batch) => readonly Batch[]) | undefined;
  /** Skips an example that cannot be loaded; by default it fails the measurement. */
  readonly onBadSample?: BadExample | undefined;
  readonly onBatch?: ((done: number, total: number) => void) | undefined;
  /** Checked before each batch; true cancels the measurement. */
  readonly isStopped?: () => boolean;
}

/** A measurement. */
export interface Measured {
  readonly evaluation: Evaluation;
  /** Adds confidence intervals if the task has them, which takes longer. */
  readonly withIntervals: () => Evaluation;
}

/** Computes the metrics; undefined if stopped. Loads the next batch during a run. */
export async function measure(request: MeasureRequest): Promise<Measured | undefined> {
  const { data, examples, batchSize, run, batches = (batch) => [batch], onBatch, isStopped = () => false } = request;
  const total = Math.min(examples.length, request.limit ?? Infinity);
  const collector = data.metrics();
  const start = performance.now();
  let measured = 0;
  let upcoming = load(request, 0, total);
  for (let done = 0; done < total; done += batchSize) {
    if (isStopped()) return undefined;
    const loaded = await upcoming;
    if (done + batchSize < total) {
      upcoming = load(request, done + batchSize, total);
      // Failures surface when the batch is awaited.
      upcoming.catch(() => undefined);
    }
    if (loaded.length > 0) {
      const whole = await data.collate(loaded);
      for (const { inputs, targets } of batches(whole)) collector.update(await run(inputs), targets);
      measured += loaded.length;
    }
    onBatch?.(Math.min(done + batchSize, total), total);
  }
  const confusion = collector.confusion?.();
  const evaluation: Evaluation = {
    metrics: collector.result(),
    ...(confusion ? { confusion } : {}),
    examples: measured,
    seconds: (performance.now() - start) / 1000,
  };
  return {
    evaluation,
    withIntervals: () => {
      const draws = collector.draws?.();
      return draws ? { ...evaluation, draws, intervals: intervalsOf(draws) } : evaluation;
    },
  };
}

async function load(
  { examples, batchSize, onBadSample }: MeasureRequest,
  from: number,
  total: number,
): Promise<unknown[]> {
  const indices = Array.from({ length: Math.min(batchSize, total - from) }, (_, i) => from + i);
  return (await loadExamples(examples, indices, onBadSample)).map(({ example }) => example);
}
