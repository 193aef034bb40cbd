/** @file Phase 1 of training: opens the data, adapter and checkpoint, and determines the length of the run. */

import type { Adapter } from '../../../adapter/adapter.ts';
import { OnnxLoraError } from '../../../errors.ts';
import { withoutUndefined } from '../../../plugin/withoutUndefined.ts';
import { guardedTask } from '../../../plugin/guards/guardedTask.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import type { SessionOptions } from '../../../runtime/session.ts';
import type { OrderOptions } from '../../../train/sampling/sampler.ts';
import { attachHead } from '../../head/attachHead.ts';
import { modelForAdapter } from '../../head/forAdapter.ts';
import { probedHead } from '../../initial/probedHead.ts';
import { loadAdapter } from '../../opening/loadAdapter.ts';
import type { Model } from '../../loaded/model.ts';
import type { PlannedAdapter } from '../../planning/loraOptions.ts';
import { planAdapter } from '../../planning/planAdapter.ts';
import { sessionOnMachine } from '../../loaded/precision.ts';
import type { FoundCheckpoint } from '../checkpoints/checkpointFolder.ts';
import { checkpointToResume, requireNoOthers } from '../checkpoints/resume.ts';
import { requireMetric } from '../objective.ts';
import { evaluationSteps, metricOf } from '../options/checked.ts';
import type { CheckedOptions } from '../options/options.ts';
import { meanBatchSize, samplingOrder } from '../options/sampling.ts';

/** Result of the phase. */
export interface Prepared {
  readonly options: CheckedOptions;
  readonly data: PreparedTask;
  /** The model that the adapter serves, with the task's head. */
  readonly whole: Model;
  /** The model to train: `whole` with the data's input sizes and the family's stopped gradients. */
  readonly shaped: Model;
  /** Modules of the task's head, if any. */
  readonly headModules: readonly string[];
  /** The plan of `lora` for the given model; undefined if the run starts from an adapter. */
  readonly early: { readonly model: Model; readonly planned: PlannedAdapter } | undefined;
  readonly begun: Adapter | undefined;
  readonly from: FoundCheckpoint | undefined;
  readonly session: SessionOptions;
  readonly order: OrderOptions;
  readonly batchSize: number;
  readonly perBatch: number;
  readonly steps: number;
  readonly evaluateEvery: number | undefined;
}

/**
 * Opens adapter, checkpoint and data, and attaches the head. Throws as `train`; for wrong targets before reading data.
 */
export async function prepare(given: Model, options: CheckedOptions): Promise<Prepared> {
  const { seed, batchSize: most, onBadSample } = options;
  const begun = typeof options.from === 'string' ? await loadAdapter(options.from) : options.from;
  const own = begun ? modelForAdapter(given, begun) : given;
  const early = begun ? undefined : { model: given, planned: planAdapter(given, options.lora) };
  const from = await checkpointToResume(options);
  await requireNoOthers(options, from);
  const machine = withoutUndefined({ provider: options.provider, threads: options.threads });
  const session = await sessionOnMachine(given.precision, machine, given.workerRuntime);
  const data = await guardedTask(options.task).prepare(own);
  requireExamples(data);
  requireMetric(metricOf(options), () => data.metrics().result());
  // A resumed run has its head's values in the checkpoint.
  const values = from ? undefined : await probedHead(own, data, { session, batchSize: most, onBadSample });
  const headed = data.head && attachHead(own, data.head, withoutUndefined({ seed, values }));
  const whole = headed?.model ?? own;
  const { length } = data.train;
  const batchSize = Math.min(most, length);
  const order = samplingOrder(options.sampling, data.train, options.batchLength);
  const perBatch = meanBatchSize(length, batchSize, seed, order);
  const perStep = perBatch * options.accumulationSteps;
  const evaluateEvery = evaluationSteps(options, data, perStep);
  await data.begin?.({
    model: whole,
    options: { ...session, allowBaseMismatch: true },
    batchSize,
    ...withoutUndefined({ adapter: begun, onBatch: options.onBegin }),
  });
  return {
    options,
    data,
    whole,
    shaped: whole
      .withInputSizes(data.inputSizes ?? {})
      .withOutputs(data.outputs ?? [])
      .withStoppedGradients(),
    headModules: headed?.modules ?? [],
    early,
    begun,
    from,
    session,
    order,
    batchSize,
    perBatch,
    steps: options.steps ?? Math.ceil((options.epochs * length) / perStep),
    evaluateEvery,
  };
}

/** @throws OnnxLoraError `DATA_INVALID` without training examples */
export function requireExamples({ train: { length }, validation }: PreparedTask): void {
  if (length > 0) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    validation
      ? `There is nothing to train on: all ${validation.length} examples are in a part that is only measured on, such as "test" or "validation". Put some into its part "train", or take the parts away.`
      : "There is nothing to train on: the data have no examples. Check the task's data.",
  );
}
