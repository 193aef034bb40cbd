/** @file `train`: trains an adapter of a model for a task. */

import type { Metrics } from '../statistics/measure.ts';
import { requireModel } from './loaded/argumentChecks.ts';
import type { Model } from './loaded/model.ts';
import { checked } from './training/options/checked.ts';
import type { TrainOptions } from './training/options/options.ts';
import { compile } from './training/phases/compile.ts';
import { plan } from './training/phases/plan.ts';
import { prepare } from './training/phases/prepare.ts';
import { Run, throwIfAborted } from './training/run.ts';
import type { TrainingRun } from './training/trainingRun.ts';

/**
 * Trains an adapter. Returns once the first batch is loaded and the graph is built, so that mistakes in data, targets
 * and options throw here; the steps then run in a worker thread.
 * @example
 * const run = await train(model, { task: imageClassification('photos'), lora: { r: 8 }, steps: 200 });
 * for await (const event of run) if (event.type === 'step') console.log(event.step, event.loss);
 * await run.adapter.save('adapters/photos');
 * @throws OnnxLoraError `INPUT_INVALID` if an argument is not a model or task; `DATA_INVALID`, `TARGET_NOT_FOUND`,
 *   `CONFIG_INVALID`, `NO_GRADIENT`, `PROVIDER_UNAVAILABLE`, `OUT_OF_MEMORY`; `CANCELLED` for a signal that is already
 *   aborted; `FILE_NOT_FOUND` and `FILE_INVALID` for the checkpoint to resume; `PLUGIN_INVALID` if the task fails
 */
export async function train<During extends Metrics = Metrics>(
  given: Model,
  asked: TrainOptions<During>,
): Promise<TrainingRun<During>> {
  requireModel('train', given);
  const options = checked(asked, given.registry);
  throwIfAborted(options.signal);
  const prepared = await prepare(given, options);
  const planned = await plan(prepared);
  const compiled = await compile(prepared, planned);
  // The task decides the names of the metrics.
  return new Run({ ...prepared, ...planned, ...compiled }) as unknown as TrainingRun<During>;
}
