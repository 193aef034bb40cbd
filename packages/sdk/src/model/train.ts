/** @file `train`: from a model and a task to an adapter. */

import { createHash } from 'node:crypto';
import { Adapter } from '../adapter/adapter.ts';
import type { AdapterSession } from '../adapter/serving/session.ts';
import { OnnxLoraError } from '../errors.ts';
import { defined } from '../plugin/data/defined.ts';
import { guardedTask } from '../plugin/guards/guardedTask.ts';
import { rowsPerRun } from '../plugin/taskModel.ts';
import type { Metrics } from '../plugin/dataset.ts';
import type { PreparedTask, ReportRequest } from '../plugin/preparedTask.ts';
import { ortVersion } from '../runtime/ort.ts';
import { Random } from '../runtime/random.ts';
import type { Feeds } from '../runtime/tensor.ts';
import { ParameterSet } from '../train/parameters.ts';
import { ShuffledBatches } from '../train/sampling/sampler.ts';
import { scheduleOf } from '../train/schedules/schedule.ts';
import type { AdapterPlan } from '../lora/tunings/moduleTuning.ts';
import { inPlaceOf } from '../train/graph/comparingLoss.ts';
import { hookedTunings } from '../lora/tunings/trainingHooks.ts';
import { Trainer, type TrainerRequest } from '../train/trainer.ts';
import { requireModel } from './givenArguments.ts';
import { continueFrom } from './initial/continueFrom.ts';
import { attachHead } from './head/attachHead.ts';
import { modelFor, withNotes, withTargetScaling } from './head/forAdapter.ts';
import { probedHead } from './head/probedHead.ts';
import { initialise, type Initialised } from './initial/initialise.ts';
import { loadAdapter } from './loadAdapter.ts';
import type { Model } from './model.ts';
import { planAdapter } from './planning/planAdapter.ts';
import { BatchQueue } from './training/batchQueue.ts';
import { CheckpointFolder } from './training/checkpoints/checkpointFolder.ts';
import { Evaluator, type EvaluatorRequest } from './training/evaluator.ts';
import {
  checkpointToResume,
  identityOf,
  requireNoOthers,
  requireSameRun,
  warningsOf,
} from './training/checkpoints/resume.ts';
import { keptPrefix } from './training/options/keptPrefix.ts';
import { requireMetric } from './training/objective.ts';
import { checked, evaluationSteps, groupsOf, metricOf, optimizerOf } from './training/options/checked.ts';
import type { TrainOptions } from './training/options/options.ts';
import { checkpointDefaults } from './training/options/runOptions.ts';
import { memoryFailure } from './training/outOfMemory.ts';
import { Run, throwIfAborted } from './training/run.ts';
import { runPrecision, sessionHere } from './precision.ts';
import type { TrainingRun } from './training/trainingRun.ts';
import { parseRunState } from './training/checkpoints/runState.ts';
import { digestOfOrder, meanBatchSize, samplingOrder } from './training/options/sampling.ts';

/**
 * Trains an adapter. Returns once the first batch is loaded and the graph is built, so that mistakes in data, targets and
 * options are errors here; steps then follow on their own. The graph runs in a worker thread.
 *
 * @example
 * const run = await train(model, { task: imageClassification('photos'), lora: { r: 8 }, steps: 200 });
 * for await (const event of run) if (event.type === 'step') console.log(event.step, event.loss);
 * await run.adapter.save('adapters/photos');
 *
 * @throws OnnxLoraError `INPUT_INVALID` for what is no model or no task; `DATA_INVALID`, `TARGET_NOT_FOUND`, `CONFIG_INVALID`, `NO_GRADIENT`, `PROVIDER_UNAVAILABLE`,
 *   `OUT_OF_MEMORY`; `CANCELLED` where the signal is aborted already; `FILE_NOT_FOUND` and `FILE_INVALID` of a checkpoint to go on from; `PLUGIN_INVALID` where the task itself
 *   fails
 */
export async function train<During extends Metrics = Metrics>(
  given: Model,
  asked: TrainOptions<During>,
): Promise<TrainingRun<During>> {
  requireModel('train', given);
  const options = checked(asked, given.registry);
  throwIfAborted(options.signal);
  const { lr, seed, onBadSample } = options;
  const begun = typeof options.from === 'string' ? await loadAdapter(options.from) : options.from;
  const own = begun ? modelFor(given, begun) : given;
  // Mistakes in targets are told before data are read.
  if (!begun) planAdapter(given, options.lora);
  const from = await checkpointToResume(options);
  await requireNoOthers(options, from);
  const machine = defined({ provider: options.provider, threads: options.threads });
  const session = await sessionHere(given.precision, machine, given.workerRuntime);
  const data = await guardedTask(options.task).prepare(own);
  requireExamples(data);
  requireMetric(metricOf(options), () => data.metrics().result());
  // A run that goes on has the values of its head.
  const probed = from ? undefined : await probedHead(own, data, { session, batchSize: options.batchSize, onBadSample });
  const headed = data.head && attachHead(own, data.head, { seed, ...(probed && { values: probed }) });
  const whole = headed?.model ?? own;
  const shaped = whole.withInputSizes(data.inputSizes ?? {}).withOutputs(data.outputs ?? []);
  const lora = headed ? withHead(options.lora, headed.modules) : options.lora;
  const batchSize = Math.min(options.batchSize, data.train.length);
  const order = samplingOrder(options.sampling, data.train, options.batchLength);
  const perBatch = meanBatchSize(data.train.length, batchSize, seed, order);
  const perStep = perBatch * options.accumulationSteps;
  const steps = options.steps ?? Math.ceil((options.epochs * data.train.length) / perStep);
  const evaluateEvery = evaluationSteps(options, data, perStep);
  await data.begin?.({
    model: whole,
    options: { ...session, allowBaseMismatch: true },
    batchSize,
    ...defined({ adapter: begun, onBatch: options.onBegin }),
  });
  const continued = begun && (await continueFrom(shaped, begun, headed?.modules ?? []));
  const planned = continued ? undefined : planAdapter(shaped, lora);
  const initial =
    continued ??
    (await initialise({
      model: shaped,
      planned: planned!,
      data,
      session,
      seed,
      batches: options.initBatches,
      batchSize,
    }));
  const { plan, config } = initial;
  if (plan.every((tuning) => tuning.trained().length === 0)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The adapter has nothing to train: all that its ${config.peftType} has is frozen. Train another tuner, or a head beside it (modulesToSave).`,
    );
  }
  requireHeldOut(plan, data);
  const base = await shaped.digest();
  const groups = groupsOf(options);
  const rate = scheduleOf(options.schedule, { steps, warmup: options.warmupSteps });
  const identity = identityOf(config, options, {
    base,
    task: options.task.name,
    examples: data.train.length,
    labels: data.head?.labels ?? null,
    inputSizes: data.inputSizes,
    precision: shaped.precision?.name,
    steps,
    batchSize,
    groups,
    sampling: digestOfOrder(order),
    evaluateEvery,
    firstValues: continued?.digest ?? digestOf(initial),
  });
  const changes = from ? requireSameRun(from.folder, from.identity, identity) : [];
  const state = from && parseRunState(from.folder, from.state);
  const prefix = keptPrefix(options.cachePrefix, data.train, Math.round(steps * perStep));
  // Not the random numbers of the first values: as many of those are drawn as there are parameters.
  const sampler = state?.position
    ? ShuffledBatches.at(state.position, data.train.length, batchSize, order)
    : new ShuffledBatches(data.train.length, batchSize, seed, order);
  const firstStep = from?.step ?? 0;
  const queue = new BatchQueue({
    data,
    sampler,
    ahead: options.prefetch,
    // One at least: the graph is built for the shapes of a batch.
    batches: options.accumulationSteps * Math.max(1, steps - firstStep),
    onBadSample,
  });
  const first = await queue.first();
  const { inputs, targets, rows } = first;
  const request = {
    base: shaped.onnx.model,
    plan,
    seed,
    loss: inPlaceOf(data, (g, outputs, targets) => data.loss(g, outputs, targets)),
    runtime: shaped.workerRuntime,
    session,
    groups,
    memory: options.memory,
    ...defined({
      lossWeight: data.lossWeight && ((targets: Feeds) => data.lossWeight!(targets)),
      optimizer: optimizerOf(options.optimizer, shaped.registry),
      clip: options.clip,
      prefix: typeof prefix === 'string' ? undefined : prefix,
      inside: data.inside,
      ema: options.ema === true ? {} : options.ema || undefined,
    }),
    parameters: (inputs) => continued?.parameters(inputs, seed) ?? ParameterSet.initial(inputs, new Random(seed)),
    name: shaped.name,
  } satisfies TrainerRequest;
  const { precision, noted, lossScale, warnings } = await runPrecision(request, shaped, state?.precision, first);
  const model = noted ? shaped.derived({ precision: noted }) : shaped;
  const lossScaling = lossScale === undefined ? undefined : { initial: lossScale };
  const trainer = new Trainer({ ...request, ...defined({ precision, lossScaling }) });
  const { inputSizes } = data;
  const hasLost = planned?.initializer?.name === 'loftq' || begun?.notes.quantizedBase?.loftq;
  const quantizedBase = shaped.quantizedFrom && { ...shaped.quantizedFrom, ...(hasLost && { loftq: true }) };
  const added = defined({ inputSizes, precision: noted, quantizedBase });
  const notes = { ...model.notes, task: options.task.name, ...added };
  const makeAdapter = (): Adapter => {
    const adapter = initial.finish((trainer.averaged ?? trainer.parameters!).tensors(), base);
    const { targetScaling } = data.head ?? {};
    return withNotes(targetScaling ? withTargetScaling(adapter, targetScaling, headed!.modules) : adapter, notes);
  };
  const evaluator =
    evaluateEvery === undefined
      ? undefined
      : new Evaluator({ model, data, batchSize: Math.round(perBatch), session, onBadSample });
  const { folder, keep = checkpointDefaults.keep } = options.checkpoints ?? {};
  const checkpoints = folder === undefined ? undefined : new CheckpointFolder(folder, keep);
  try {
    const { provider, parameters } = await compile(trainer, inputs, targets, rows);
    if (from) trainer.load({ tensors: from.tensors, json: state!.trainer });
    await evaluator?.prepare(makeAdapter());
    checkpoints?.take();
    // Without one to go on from there are others only if they are to be replaced.
    await checkpoints?.clean(from?.step ?? -1);
    const versions = { node: process.versions.node, onnxruntime: ortVersion(), provider };
    const best = from?.bestTensors;
    const run = new Run({
      trainer,
      data,
      queue,
      options,
      batchSize: perBatch,
      steps,
      rate: (step) => lr * rate(step),
      evaluator,
      evaluateEvery: evaluateEvery ?? Infinity,
      checkpoints,
      identity,
      precision: noted,
      versions,
      provider,
      trainableParameters: parameters.count,
      prefix: typeof prefix === 'string' ? { kept: false, reason: prefix } : trainer.prefix!,
      makeAdapter,
      ...(data.finish
        ? { finish: (adapter: Adapter) => finished(adapter, { model, whole, data, batchSize, session }) }
        : {}),
      reportProvider: () => trainer.providerReport(inputs, targets, rows),
      from: from && {
        step: from.step,
        state: state!,
        best: best && new Adapter(makeAdapter().config, best, base, notes),
      },
      warnings: [
        ...(planned?.warnings ?? []),
        ...warnings,
        ...(data.warnings ?? []),
        ...(begun && headed ? [newHeadOf(begun, headed.modules)] : []),
        ...(from ? warningsOf(from, versions, changes) : []),
      ],
    });
    // Its metrics are those of the task, whatever their names.
    return run as unknown as TrainingRun<During>;
  } catch (error) {
    await trainer.release();
    await evaluator?.release();
    checkpoints?.release();
    throw error;
  }
}

/** The options with the new head among the modules that are trained in full. */
function withHead(lora: TrainOptions['lora'] = {}, modules: readonly string[]): NonNullable<TrainOptions['lora']> {
  const saved = lora.modulesToSave ?? [];
  const isSaved = (path: string): boolean => saved.some((name) => path === name || path.endsWith(`.${name}`));
  return { ...lora, modulesToSave: [...saved, ...modules.filter((path) => !isSaved(path))] };
}

/** What is told where an adapter's head cannot be trained on. */
function newHeadOf({ notes: { labels } }: Adapter, modules: readonly string[]): string {
  const had = labels ? `${labels.slice(0, 5).join(', ')}${labels.length > 5 ? ', …' : ''}` : 'others, or none';
  return `The labels are not those of the adapter that the run begins with (${had}): ${modules.join(', ')} begins anew.`;
}

/** What {@link finished} needs: `model` runs batches, and `whole` is the one that the adapter serves. */
interface Finishing extends Pick<EvaluatorRequest, 'model' | 'data' | 'batchSize' | 'session'> {
  readonly whole: Model;
}

/** The adapter with what the task learns from the finished one. */
async function finished(
  adapter: Adapter,
  { model, whole, data, batchSize, session: options }: Finishing,
): Promise<Adapter> {
  // Loaded when the task asks for the first time.
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

async function compile(trainer: Trainer, ...feeds: Parameters<Trainer['compile']>): ReturnType<Trainer['compile']> {
  try {
    return await trainer.compile(...feeds);
  } catch (error) {
    throw memoryFailure(error, trainer.memoryPlan);
  }
}

/** Of first values that the graph holds as constants, or begins with, so that a run that goes on has the same. */
function digestOf({ plan }: Initialised): string {
  const hash = createHash('sha256');
  for (const { path, start } of plan) if (start) hash.update(path).update(start.lora_A).update(start.lora_B);
  return hash.digest('hex');
}

/** @throws OnnxLoraError `DATA_INVALID` for a tuner that looks at held-out examples where there are none */
function requireHeldOut(plan: AdapterPlan, { validation }: PreparedTask): void {
  const reviewer = hookedTunings(plan).find(({ hooks }) => 'review' in hooks);
  if (!reviewer || (validation && validation.length > 0)) return;
  throw new OnnxLoraError('DATA_INVALID', `The task holds no data out, and the tuner "${reviewer.name}" goes by them. Hold data out (for images, validation: 0.2), or take another tuner.`); // prettier-ignore
}

/**
 * Checks that there is something to train on.
 *
 * @throws OnnxLoraError `DATA_INVALID`
 */
export function requireExamples({ train: { length }, validation }: PreparedTask): void {
  if (length > 0) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    validation
      ? `There is nothing to train on: all ${validation.length} examples are in a part that is only measured on, such as "test" or "validation". Put some into its part "train", or take the parts away.`
      : 'There is nothing to train on: the data have no examples. Check what the task was given.',
  );
}
