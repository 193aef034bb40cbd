/** @file Phase 3 of training: builds the graph for the first batch, and everything around the steps. */

import { nodeVersion } from '../../../platform/system.ts';
import { Adapter } from '../../../adapter/adapter.ts';
import type { BasePrecision } from '../../../ops/precision/precision.ts';
import { withoutUndefined } from '../../../plugin/withoutUndefined.ts';
import { ortVersion } from '../../../platform/engine.ts';
import { Random } from '../../../runtime/random.ts';
import type { SessionProvider, ProviderReport } from '../../../runtime/session.ts';
import type { Feeds } from '../../../runtime/tensor.ts';
import { withComparisonOf } from '../../../train/graph/comparingLoss.ts';
import { ParameterSet } from '../../../train/parameters.ts';
import type { PrefixReport } from '../../../train/prefix/split.ts';
import { ShuffledBatches } from '../../../train/sampling/sampler.ts';
import { scheduleOf } from '../../../train/schedules/schedule.ts';
import { Trainer, type TrainerRequest } from '../../../train/trainer.ts';
import { withNotes, withTargetScaling } from '../../head/forAdapter.ts';
import { runPrecision } from '../../loaded/precision.ts';
import { BatchQueue } from '../batchQueue.ts';
import { CheckpointFolder } from '../checkpoints/checkpointFolder.ts';
import { warningsOf } from '../checkpoints/resume.ts';
import { Evaluator, type EvaluatorRequest } from '../evaluator.ts';
import { optimizerOf, transformationsOf } from '../options/checked.ts';
import { keptPrefix } from '../options/keptPrefix.ts';
import { checkpointDefaults } from '../options/runOptions.ts';
import { memoryFailure } from '../outOfMemory.ts';
import type { Planned } from './plan.ts';
import type { Prepared } from './prepare.ts';
import type { AdapterSession } from '../../../adapter/serving/session.ts';
import type { ReportRequest } from '../../../plugin/preparedTask.ts';
import { rowsPerRun } from '../../../plugin/taskModel.ts';
import type { Model } from '../../loaded/model.ts';

/** Result of the phase. */
export interface Compiled {
  readonly trainer: Trainer;
  readonly queue: BatchQueue;
  /** The learning rate of a step, counted from 0. */
  readonly rate: (step: number) => number;
  readonly evaluator: Evaluator | undefined;
  readonly checkpoints: CheckpointFolder | undefined;
  readonly precision: BasePrecision | undefined;
  readonly versions: Readonly<Record<string, string>>;
  readonly provider: SessionProvider;
  readonly trainableParameters: number;
  readonly prefix: PrefixReport;
  readonly makeAdapter: () => Adapter;
  /** Lets the task learn from the finished adapter. */
  readonly finish: ((adapter: Adapter) => Promise<Adapter>) | undefined;
  readonly reportProvider: () => Promise<ProviderReport>;
  /** The best adapter up to the resumed checkpoint. */
  readonly best: Adapter | undefined;
  readonly warnings: readonly string[];
}

/** Builds the graph for the first batch, and restores a checkpoint. Throws as `train`, with all resources released. */
export async function compile(prepared: Prepared, planned: Planned): Promise<Compiled> {
  const { options, data, whole, shaped, from, session, order, batchSize, perBatch, steps, evaluateEvery } = prepared;
  const { initial, base, groups, state } = planned;
  const { lr, seed, onBadSample } = options;
  const { length } = data.train;
  const prefix = keptPrefix(options.cachePrefix, data.train, Math.round(steps * perBatch * options.accumulationSteps));
  // A separate random generator from the initial values', whose number of draws varies with the parameters.
  const sampler = state?.position
    ? ShuffledBatches.at(state.position, length, batchSize, order)
    : new ShuffledBatches(length, batchSize, seed, order);
  const { accumulationSteps, exchange } = options;
  const isOwn = (batch: number): boolean =>
    exchange!.computes((from?.step ?? 0) + Math.floor(batch / accumulationSteps), batch % accumulationSteps);
  const queue = new BatchQueue({
    data,
    sampler,
    ahead: options.prefetch,
    // At least one: the graph is built for the shapes of a batch.
    batches: accumulationSteps * Math.max(1, steps - (from?.step ?? 0)),
    onBadSample,
    // The graph is built for the first one.
    loads: exchange && ((batch) => batch === 0 || isOwn(batch)),
  });
  const first = await queue.first();
  const { inputs, targets, rows } = first;
  const request = {
    base: shaped.onnx.model,
    plan: initial.plan,
    seed,
    loss: withComparisonOf(data, (g, outputs, given) => data.loss(g, outputs, given)),
    runtime: shaped.workerRuntime,
    session,
    groups,
    memory: options.memory,
    optimizer: optimizerOf(options.optimizer, shaped.registry),
    transformations: transformationsOf(options),
    ...withoutUndefined({
      lossWeight: data.lossWeight && ((given: Feeds) => data.lossWeight!(given)),
      prefix: typeof prefix === 'string' ? undefined : prefix,
      inside: data.inside,
    }),
    parameters: (given) => initial.parameters?.(given, seed) ?? ParameterSet.initial(given, new Random(seed)),
    name: shaped.name,
  } satisfies TrainerRequest;
  const { precision, noted, lossScale, warnings } = await runPrecision(request, shaped, state?.precision, first);
  const model = noted ? shaped.derived({ precision: noted }) : shaped;
  const lossScaling = lossScale === undefined ? undefined : { initial: lossScale };
  const trainer = new Trainer({ ...request, ...withoutUndefined({ precision, lossScaling }) });
  const quantizedBase = shaped.quantizedFrom && { ...shaped.quantizedFrom, ...(planned.hasLost && { loftq: true }) };
  const added = withoutUndefined({ inputSizes: data.inputSizes, precision: noted, quantizedBase });
  const notes = { ...model.notes, task: options.task.name, ...added };
  const makeAdapter = (): Adapter => {
    const adapter = initial.finish((trainer.averaged ?? trainer.parameters!).tensors(), base);
    const { targetScaling } = data.head ?? {};
    return withNotes(targetScaling ? withTargetScaling(adapter, targetScaling, prepared.headModules) : adapter, notes);
  };
  const measured = { model, data, batchSize: Math.round(perBatch), session, onBadSample };
  const evaluator = evaluateEvery === undefined ? undefined : new Evaluator(measured);
  const { folder, keep = checkpointDefaults.keep } = options.checkpoints ?? {};
  const checkpoints = folder === undefined ? undefined : new CheckpointFolder(folder, keep);
  try {
    const { provider, parameters } = await trainer.compile(inputs, targets, rows).catch((error: unknown) => {
      throw memoryFailure(error, trainer.memoryPlan);
    });
    if (from) trainer.load({ tensors: from.tensors, json: state!.trainer });
    await evaluator?.prepare(makeAdapter());
    checkpoints?.take();
    // For a new run, other checkpoints exist only if they are to be overwritten.
    await checkpoints?.clean(from?.step ?? -1);
    const versions = { node: nodeVersion, onnxruntime: ortVersion(), provider };
    const best = from?.bestTensors;
    const highest = scheduleOf(options.schedule, { steps, warmup: options.warmupSteps });
    return {
      trainer,
      queue,
      rate: (step) => lr * highest(step),
      evaluator,
      checkpoints,
      precision: noted,
      versions,
      provider,
      trainableParameters: parameters.count,
      prefix: typeof prefix === 'string' ? { kept: false, reason: prefix } : trainer.prefix!,
      makeAdapter,
      finish: data.finish && ((adapter) => finished(adapter, { model, whole, data, batchSize, session })),
      reportProvider: () => trainer.providerReport(inputs, targets, rows),
      best: best && new Adapter(makeAdapter().config, best, base, notes),
      warnings: [
        ...planned.warnings,
        ...warnings,
        ...(data.warnings ?? []),
        ...(from ? warningsOf(from, versions, planned.changes) : []),
      ],
    };
  } catch (error) {
    await trainer.release();
    await evaluator?.release();
    checkpoints?.release();
    throw error;
  }
}

/** `model` runs batches; `whole` is the model that the adapter serves. */
interface Finishing extends Pick<EvaluatorRequest, 'model' | 'data' | 'batchSize' | 'session'> {
  readonly whole: Model;
}

/** Adds values learned by the task to the adapter's notes. */
async function finished(
  adapter: Adapter,
  { model, whole, data, batchSize, session: options }: Finishing,
): Promise<Adapter> {
  // Created when the task first asks.
  let session: Promise<AdapterSession> | undefined;
  const run: ReportRequest['run'] = async (inputs, which) => {
    session ??= model.session({ ...options, adapters: { adapted: adapter }, allowBaseMismatch: true });
    return (await session).run(inputs, { adapter: which === 'base' ? null : 'adapted' });
  };
  try {
    const { tunings } = await model.place(adapter, { allowBaseMismatch: true });
    const mixesRows = tunings.some(({ tuning }) => tuning.mixesRows);
    const rows = rowsPerRun({ mixesRows }, batchSize);
    const request = { run, batchSize: rows, model: whole, adapter, options: { ...options, allowBaseMismatch: true } };
    return withNotes(adapter, { learned: await data.finish!(request) });
  } finally {
    await (await session)?.release();
  }
}
