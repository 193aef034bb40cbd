/** @file Runs a task's held-out examples and sums up its metrics. */

import type { Evaluation } from '../../plugin/events.ts';
import type { Batch, Dataset } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { type BadExample, loadExamples } from '../../tasks/batches.ts';
import { intervalsOf } from '../../statistics/bootstrap.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';

/** What is measured, and how. */
export interface MeasureRequest {
  readonly data: PreparedTask;
  readonly examples: Dataset<unknown>;
  readonly batchSize: number;
  /** Only the first so many examples. */
  readonly limit?: number | undefined;
  readonly run: (inputs: Feeds) => Promise<Readonly<Record<string, Tensor>>>;
  /** What is run for a batch, one after the other; the batch itself by default. */
  readonly batches?: ((batch: Batch) => readonly Batch[]) | undefined;
  /** What becomes of an example that cannot be loaded: it fails the measurement unless this leaves it out. */
  readonly onBadSample?: BadExample | undefined;
  /** Called after each batch with the number of examples done and the total. */
  readonly onBatch?: ((done: number, total: number) => void) | undefined;
  /** Asked before each batch; true ends the measurement without a result. */
  readonly isStopped?: () => boolean;
}

/** What was measured. */
export interface MeasuredOnce {
  readonly evaluation: Evaluation;
  /** The same with intervals, where the task gives them. They take longer. */
  readonly withIntervals: () => Evaluation;
}

/** The metrics, or undefined when it was stopped. The next batch loads while one is computed. */
export async function measure(request: MeasureRequest): Promise<MeasuredOnce | undefined> {
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
      // A failure is told when the batch is awaited.
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
