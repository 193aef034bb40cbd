/** @file One training run, from settings to a finished run folder. */

import path from 'node:path';
import {
  type Adapter,
  type AdapterSession,
  attachHead,
  type PluginRegistry,
  evaluate,
  type Evaluation,
  loadAdapter,
  type LoraOptions,
  type LoraPreview,
  type Model,
  modelFor,
  OnnxLoraError,
  previewLora,
  train,
  type TrainEvent,
  type TrainResult,
  type TrainingRun,
} from '@onnx-lora/sdk';
import {
  type PreparedTask,
  type ReportSection,
  requireExamples,
  requireMetric,
  type Task,
  worseMetric,
} from '@onnx-lora/sdk/tasks';
import { ExampleSet } from '@onnx-lora/sdk/data';
import type { FallenBackNode, ProviderReport, StepEvent } from '@onnx-lora/sdk/plugin';
import { WholeParameter } from '@onnx-lora/sdk/core';
import type { Context } from './context.ts';
import { exitCodes, usageError } from './errors.ts';
import { type Measured, RunHistory } from './history.ts';
import { Interrupt } from './interrupt.ts';
import { adapterSettings, loraOptions, machineOptions } from './lora.ts';
import { pathOfData } from './plugins/dataset.ts';
import { requireTrackers, Trackers, wantsTensorBoard } from './plugins/trackers.ts';
import { Progress } from './progress.ts';
import { formatReport } from './report/html.ts';
import { formatSections } from './report/sections.ts';
import { configOf, formatCommand, formatConfig, quoted, type ResolvedSettings, resolveSettings } from './runConfig.ts';
import { type LoggedEvent, RunFolder } from './runFolder.ts';
import { flagOf, type SettingName, type Settings } from './settings.ts';
import {
  type ChosenAdapter,
  chooseTask,
  openNamed,
  requireFlag,
  requireModel,
  requireOther,
  taskOptions,
} from './sources.ts';
import { clock, decimals, grouped, short, withInterval } from './table.ts';
import { taskSettings } from './taskSettings.ts';
import { metricChoice, requireTogether, trainOptions } from './trainOptions.ts';

/** How a run is made, settings aside. */
export interface TrainRunOptions {
  readonly overwrite: boolean;
  /** Go on with the run that is in the folder. */
  readonly resume: boolean;
  readonly quiet: boolean;
}

/** What a run came to, as `--json` prints it. */
export interface TrainSummary {
  readonly out: string;
  readonly adapter: string | null;
  readonly report: string;
  readonly steps: number;
  /** Null when no step was made. */
  readonly loss: number | null;
  readonly stopped: boolean;
  readonly endedBy: TrainResult['endedBy'];
  readonly seconds: number;
  readonly trainableParameters: number;
  readonly before: Evaluation['metrics'] | null;
  readonly after: Evaluation['metrics'] | null;
  /** Of the metrics after training. */
  readonly intervals?: Evaluation['intervals'];
  /** Whether the held-out data are measured worse than before; null where they were not measured. */
  readonly worse: boolean | null;
  /** The best measurement during the run, where there were any. */
  readonly best: TrainResult['best'] | null;
  readonly skippedSteps: number;
  readonly badSamples: number;
}

/** A finished or interrupted run. */
export interface TrainOutcome {
  readonly summary: TrainSummary;
  readonly exitCode: number;
}

/** Share of each class that is held out where the data has no part for it. */
const HOLD_OUT = 0.1;

/**
 * Trains and fills the run folder. What can be wrong with settings, model and data is an error before the folder is
 * touched.
 */
export async function runTraining(
  given: Settings,
  { overwrite, resume, quiet }: TrainRunOptions,
  context: Context,
): Promise<TrainOutcome> {
  const registry = context.registry();
  const source = requireFlag(given.data, 'data', 'name the data to train on');
  // What these say is read, before anything else is.
  loraOptions(given);
  requireTogether(given);
  requireTrackers(given.track, registry);
  // Whether held-out data, where there is such, is measured before and after.
  const measures = given.eval ?? true;
  const named = given.out === undefined ? undefined : new RunFolder(given.out);
  if (resume) named?.checkUntaken();
  else named?.checkFree(overwrite);
  const progress = new Progress(context.terminal, { quiet });
  const data = await pathOfData(source, registry, progress);
  const model = await openNamed(requireModel(given.model), registry, given);
  const begun = await adapterToBegin(given);
  const own = begun ? modelFor<Model>(model, begun.adapter) : model;
  const factory = await chooseTask(given.task, model, context, begun);
  const folder = named ?? RunFolder.unused(data, factory.name);
  const original = given.original === undefined ? undefined : await openNamed(given.original, registry, given);
  const targets = given.targets ?? (begun ? [] : [...previewLora(model, loraOptions(given, original)).targets]);
  const settings = resolveSettings(
    // By their kinds, so that config.yaml has a number as a number.
    { ...given, ...(given.set === undefined ? {} : { set: taskSettings(given.set, factory) }) },
    {
      model: model.name,
      data: source,
      task: factory.name,
      // Without targets the family chose; the choice is written down.
      ...(targets.length > 0 ? { targets } : {}),
      ...(context.plugins().length > 0 ? { plugins: [...context.plugins()] } : {}),
      out: folder.path,
    },
    factory.defaults,
  );
  // What is trained is measured, unless it is said that nothing be held out (--validation 0).
  const holdOut = given.validation === undefined && measures ? { holdOut: HOLD_OUT } : {};
  const { task, prepared } = await prepareOnce(
    factory.create({ ...taskOptions(factory, settings, data, settings.seed), ...holdOut }),
    own,
  );
  requireExamples(prepared);
  const holdsOut = prepared.validation !== undefined;
  if (given.validation !== undefined && given.validation !== 0 && !holdsOut) {
    throw usageError(`The task "${factory.name}" holds no data out, so --validation has no use. Leave it out.`);
  }
  requireMetric(settings.metric === undefined ? undefined : metricChoice(settings.metric), () =>
    prepared.metrics().result(),
  );
  const lora = loraOptions(settings, original);
  const { preview, newModules } = begun
    ? await previewOf(begun, own, prepared)
    : previewWithHead(model, prepared, lora);
  const work: Work = { model, task, settings, progress, folder, history: new RunHistory(), registry };
  const adapted = [...preview.targets, ...preview.parameters, ...preview.tokens];
  if (prepared.head) {
    progress.note(
      prepared.head.attach
        ? `The model has no head for this task: ${newModules.join(', ')} begins with ${prepared.head.labels.length} output${prepared.head.labels.length === 1 ? '' : 's'}, and is trained in full.`
        : `The labels are not the model's: ${newModules.join(', ')} begins anew with ${prepared.head.labels.length}, and is trained in full.`,
    );
  }
  const notes = prepared.notes ?? [];
  for (const note of notes) progress.note(note);
  // Some tasks say it in their own words, and how it was chosen.
  if (prepared.validation && !notes.some((note) => note.includes('held out'))) {
    progress.note(
      `${grouped(prepared.train.length)} examples to train on, ${grouped(prepared.validation.length)} held out`,
    );
  }
  progress.note(parameterLine(preview.trainableParameters, model.parameterCount, adapted.length));

  const { targets: _, ...others } = settings;
  folder.lock();
  try {
    // Another may have begun, or ended, since the folder was looked at.
    if (!resume) folder.checkFree(overwrite);
    return await trainInFolder(work, {
      prepared,
      start: begun ? { from: begun.adapter } : { lora },
      adapted,
      measures: measures && holdsOut,
      overwrite,
      resume,
      shown: given.targets === undefined ? others : settings,
    });
  } finally {
    folder.close();
  }
}

/** What {@link trainInFolder} goes by. */
interface Prepared extends Pick<TrainRunOptions, 'overwrite' | 'resume'> {
  readonly prepared: PreparedTask;
  /** The adapter to begin with, or how to make one. */
  readonly start: { readonly from: Adapter } | { readonly lora: LoraOptions };
  /** Modules that are adapted. */
  readonly adapted: readonly string[];
  /** Whether held-out data are measured before and after. */
  readonly measures: boolean;
  /** Settings for the report. The family's choice is listed as the adapted modules; among them it would only be long. */
  readonly shown: Settings;
}

/** The run itself, in a folder that is this process's. */
async function trainInFolder(
  work: Work,
  { prepared, start: beginning, adapted, measures, overwrite, resume, shown }: Prepared,
): Promise<TrainOutcome> {
  const { model, task, settings, progress, folder } = work;
  // Looked at now, for files may change while it trains.
  const trainedOn = await ExampleSet.of(prepared.train);
  const start =
    measures && !resume
      ? await measure(
          work,
          'base',
          'from' in beginning && !prepared.head ? beginning.from : undefined,
          prepared.head !== undefined,
        )
      : undefined;
  if (settings.init !== undefined) progress.note(`finding first values (${settings.init})`);
  const run = await train(model, {
    task,
    ...beginning,
    ...trainOptions(settings),
    checkpoints: {
      folder: folder.checkpoints,
      every: settings.checkpointEvery,
      ...(settings.keepCheckpoints === undefined ? {} : { keep: settings.keepCheckpoints }),
      overwrite,
    },
    resume,
  });
  if (run.prefix.kept) {
    progress.note(
      `keeping what the frozen layers give for each example: ${(100 * run.prefix.share).toFixed(0)}% of the forward pass`,
    );
  }
  if (run.provider !== 'cpu') {
    // Not waited for: the run answers before its next step, or ends before.
    run.providerReport().then(
      (report) => progress.note(placementLine(report)),
      () => undefined,
    );
  }
  const interrupt = new Interrupt(() => {
    run.stop();
    progress.note('Stopping after this step; press Ctrl-C again to end at once.');
  });
  try {
    const before = await begin(work, run, resume, start);
    await folder.noteTrainedOn(trainedOn);
    work.trackers = await trackersOf(work, run);
    const result = await complete(run, work);
    await work.trackers.close();
    const { adapter, seconds, loss, steps: made } = result;
    if (made > 0) await saveAdapter(adapter, work);
    // Everything is safe now: a Ctrl-C during what follows may end the process.
    interrupt.release();
    const stopped = interrupt.code !== undefined;
    const { after, sections } = await afterwards(work, { result, prepared, before, stopped, firstStep: run.firstStep });
    const worse = worseNote(before, after, settings);
    await folder.writeReport(
      formatReport({
        model: { name: model.name, family: model.family?.name, parameters: model.parameterCount },
        settings: shown,
        command: formatCommand(shown),
        history: work.history,
        made,
        endedBy: result.endedBy,
        planned: run.steps,
        seconds,
        provider: run.provider,
        trainableParameters: run.trainableParameters,
        modules: adapted,
        before,
        after,
        worse,
        sections,
        date: new Date(),
        runtime: `Node ${process.versions.node}`,
      }),
    );
    if (worse !== undefined) progress.note(`warning: ${worse}`);
    if (result.stopped && made > 0) progress.note(`To go on: ${resumeCommand(folder)}`);
    return {
      exitCode: interrupt.code ?? exitCodes.done,
      summary: {
        out: folder.path,
        adapter: made > 0 ? folder.adapter : null,
        report: folder.report,
        steps: made,
        loss: made > 0 && Number.isFinite(loss) ? loss : null,
        stopped,
        endedBy: result.endedBy,
        seconds,
        trainableParameters: run.trainableParameters,
        before: before?.metrics ?? null,
        after: after?.metrics ?? null,
        ...(after?.intervals ? { intervals: after.intervals } : {}),
        worse: before && after ? worse !== undefined : null,
        best: result.best ?? null,
        skippedSteps: result.skippedSteps,
        badSamples: result.badSamples,
      },
    };
  } finally {
    run.stop();
    interrupt.release();
    await work.trackers?.close();
  }
}

interface Work {
  readonly model: Model;
  readonly task: Task;
  readonly settings: ResolvedSettings;
  readonly progress: Progress;
  readonly folder: RunFolder;
  readonly history: RunHistory;
  readonly registry: PluginRegistry;
  /** Who follows the run; there once it begins. */
  trackers?: Trackers;
}

/** Settings that say how a new adapter is made. */
const ofNewAdapters: readonly SettingName[] = [...adapterSettings, 'init', 'original', 'initBatches'];

/**
 * The adapter that the run begins with.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where settings describe a new one too, or the run would replace the adapter
 */
async function adapterToBegin(given: Settings): Promise<ChosenAdapter | undefined> {
  const { from: source } = given;
  if (source === undefined) return undefined;
  const other = ofNewAdapters.find((name) => given[name] !== undefined);
  if (other !== undefined)
    throw usageError(
      `--from begins with an adapter that says what is adapted and how, and ${flagOf(other)} says how a new one is made. Leave one of them out.`,
    );
  if (given.out !== undefined) requireOther(path.join(given.out, 'adapter'), [source]);
  return { adapter: await loadAdapter(source), source };
}

/** What is trained of an adapter that is there already. */
async function previewOf({ adapter }: ChosenAdapter, model: Model, { head }: PreparedTask) {
  const { tunings } = await model.place(adapter);
  const targets = tunings.flatMap(({ tuning }) => (tuning instanceof WholeParameter ? [] : [tuning.path]));
  const preview = { targets, parameters: [], tokens: [], trainableParameters: adapter.parameterCount };
  return { preview, newModules: head ? attachHead<Model>(model, head).modules : [] };
}

/** What is trained, with the head that the labels need where the model has none for them. */
function previewWithHead(
  model: Model,
  { head }: PreparedTask,
  lora: LoraOptions,
): { readonly preview: LoraPreview; readonly newModules: readonly string[] } {
  if (!head) return { preview: previewLora(model, lora), newModules: [] };
  const { model: headed, modules } = attachHead<Model>(model, head);
  const saved = new Set([...(lora.modulesToSave ?? []), ...modules]);
  return { preview: previewLora(headed, { ...lora, modulesToSave: [...saved] }), newModules: modules };
}

/** Reads the data once for training and both evaluations, so that files are decoded once. */
async function prepareOnce(task: Task, model: Model): Promise<{ task: Task; prepared: PreparedTask }> {
  const prepared = await task.prepare(model);
  return { task: { name: task.name, prepare: () => Promise.resolve(prepared) }, prepared };
}

async function measure(
  { model, task, settings, progress }: Work,
  which: 'base' | 'adapted',
  adapter?: TrainingRun['adapter'],
  isUntrained = false,
): Promise<Evaluation> {
  const evaluation = await evaluate(model, {
    task,
    ...(adapter ? { adapter } : {}),
    batchSize: settings.batchSize,
    ...(settings.onBadSample === undefined ? {} : { onBadSample: settings.onBadSample }),
    ...machineOptions(settings),
    onBatch: (done, total) =>
      progress.showLive(
        done,
        total,
        `measuring the ${which === 'base' ? 'base' : 'adapted model'}  ${grouped(done)} of ${grouped(total)}`,
      ),
  });
  for (const { message } of evaluation.badSamples ?? [])
    progress.note(`warning: a held-out example is left out: ${message}`);
  const when = which === 'adapted' ? 'after' : isUntrained ? 'before, with an untrained head' : 'before';
  progress.note(`${when}: ${metricsLine(evaluation)}`);
  return evaluation;
}

/**
 * Prepares the folder, and tells the history what the run had told before an interruption.
 *
 * @returns what the base measured
 */
async function begin(
  work: Work,
  run: TrainingRun,
  resume: boolean,
  start: Evaluation | undefined,
): Promise<Measured | undefined> {
  const { folder, settings, history, progress } = work;
  const records = { tensorboard: wantsTensorBoard(settings) };
  try {
    if (resume) {
      const { events, damaged } = await folder.goOn(run.firstStep, formatConfig(settings), records);
      for (const event of events) history.add(event);
      if (damaged > 0)
        progress.note(`warning: ${damaged} line${damaged === 1 ? '' : 's'} of metrics.jsonl could not be read, and the report lacks what they told.`); // prettier-ignore
      progress.note(
        run.firstStep > 0
          ? `going on after step ${run.firstStep}`
          : 'The run had not reached its first checkpoint, so it begins anew.',
      );
      return history.evaluations.find(({ step }) => step === 0);
    }
    folder.begin(formatConfig(settings), records);
  } catch (error) {
    run.stop();
    throw error;
  }
  if (!start) return undefined;
  const { examples, metrics, intervals } = start;
  const measured = { step: 0, examples, metrics, ...(intervals ? { intervals } : {}) };
  record(work, { type: 'evaluation', ...measured });
  return measured;
}

/** The returned adapter's metrics: as the run measured them, or measured now. */
async function measureAfter(
  work: Work,
  { result: { adapter, steps, best }, prepared, before, firstStep }: Omit<Ended, 'stopped'>,
): Promise<Measured> {
  const { history, settings, progress } = work;
  const [last, step] = settings.loadBest ? [history.best, best?.step] : [history.last, steps];
  // A task that measures in a way of its own has measured something else during the run.
  const isAlike = last?.step === step && !prepared.measure && (last?.intervals || !before?.intervals);
  const known = isAlike ? last : undefined;
  // What was read back from an earlier part of the run has no confusion matrix.
  if (known && (known.confusion || known.step > firstStep)) {
    progress.note(`after: ${metricsLine(known)}`);
    return known;
  }
  const { examples, metrics, confusion, intervals } = await measure(work, 'adapted', adapter);
  const measured = { step: step ?? steps, examples, metrics, confusion, ...(intervals ? { intervals } : {}) };
  if (!known) record(work, { type: 'evaluation', ...measured });
  return measured;
}

/** What to say where held-out data are measured worse after the training than before. */
function worseNote(
  before: Measured | undefined,
  after: Measured | undefined,
  { metric }: ResolvedSettings,
): string | undefined {
  const choice = metric === undefined ? undefined : metricChoice(metric);
  const worse = before && after && worseMetric(before.metrics, after.metrics, choice);
  if (!worse) return undefined;
  const on = after.examples === 1 ? 'one held-out example' : `${grouped(after.examples)} held-out examples`;
  return `the training has made it worse: ${worse.name} was ${short(worse.before)} and is ${short(worse.after)} on ${on}. What to look at is in docs/guides/not-learning.md.`;
}

/** What {@link afterwards} goes by. */
interface Ended {
  readonly result: TrainResult;
  readonly prepared: PreparedTask;
  readonly before: Measured | undefined;
  readonly stopped: boolean;
  /** The step that the run began after. */
  readonly firstStep: number;
}

/**
 * What is measured and shown of the finished adapter.
 *
 * @throws OnnxLoraError of what fails, with where the adapter is
 */
async function afterwards(
  work: Work,
  { stopped, ...ended }: Ended,
): Promise<{ readonly after: Measured | undefined; readonly sections: readonly ReportSection[] }> {
  const { result, prepared, before } = ended;
  try {
    const { adapter, steps } = result;
    const after = before && !stopped ? await measureAfter(work, ended) : undefined;
    if (steps === 0 || stopped) return { after, sections: [] };
    const found = [
      ...(await taskSections(prepared, adapter, work)),
      ...(await pluginSections({ adapter, before, after }, work)),
    ];
    return { after, sections: found.filter((section) => canBeShown(section, work)) };
  } catch (error) {
    if (!(error instanceof OnnxLoraError) || result.steps === 0) throw error;
    throw new OnnxLoraError(error.code, `${error.message} The adapter is in "${work.folder.adapter}".`, {
      cause: error,
    });
  }
}

/** A section that does not have what its kind needs is left out, and told of. */
function canBeShown(section: ReportSection, { progress }: Work): boolean {
  try {
    formatSections([section]);
    return true;
  } catch (error) {
    progress.note(`warning: the report lacks the section "${section?.title}": ${messageOf(error)}`);
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What the task shows of itself. It comes after the training, so that what goes wrong here only leaves it out. */
async function taskSections(
  prepared: PreparedTask,
  adapter: TrainingRun['adapter'],
  { model, settings, progress }: Work,
): Promise<readonly ReportSection[]> {
  if (!prepared.report) return [];
  progress.note('measuring what the report shows');
  let session: AdapterSession | undefined;
  try {
    const opened = await model
      .withInputSizes(prepared.inputSizes ?? {})
      .withOutputs(prepared.outputs ?? [])
      .session({ adapters: { adapted: adapter }, ...machineOptions(settings) });
    session = opened;
    return [
      ...(await prepared.report({
        run: (inputs, which) => opened.run(inputs, { adapter: which === 'base' ? null : 'adapted' }),
        batchSize: settings.batchSize,
        model,
        adapter,
        options: machineOptions(settings),
      })),
    ];
  } catch (error) {
    progress.note(`warning: the report lacks what the task shows of itself: ${messageOf(error)}`);
    return [];
  } finally {
    await session?.release();
  }
}

/** What plugins add to every report. What goes wrong only leaves it out. */
async function pluginSections(
  {
    adapter,
    before,
    after,
  }: { readonly adapter: TrainingRun['adapter'] } & Partial<Record<'before' | 'after', Measured | undefined>>,
  { model, task, progress, history, registry }: Work,
): Promise<readonly ReportSection[]> {
  const sections: ReportSection[] = [];
  for (const factory of registry.sections) {
    try {
      const found = await factory.sections({
        task: task.name,
        model,
        adapter,
        losses: history.loss.stretches.map(({ step, mean }) => [step, mean] as const),
        ...(before ? { before: before.metrics } : {}),
        ...(after ? { after: after.metrics } : {}),
      });
      sections.push(...found);
    } catch (error) {
      // Whatever it is: a slip in a plugin must not take the report along.
      progress.note(`warning: the report lacks "${factory.name}": ${messageOf(error)}`);
    }
  }
  return sections;
}

/** Those who follow the run; a run that they refuse to follow is stopped. */
async function trackersOf({ settings, registry, folder, progress }: Work, run: TrainingRun): Promise<Trackers> {
  const about = { folder: folder.path, firstStep: run.firstStep, settings: configOf(settings) };
  try {
    return await Trackers.begin(settings.track, registry, about, (message) => progress.note(`warning: ${message}`));
  } catch (error) {
    run.stop();
    throw error;
  }
}

/** @throws OnnxLoraError where the disk refuses, with what is left */
async function saveAdapter(adapter: TrainingRun['adapter'], work: Work): Promise<void> {
  try {
    await adapter.save(work.folder.adapter);
  } catch (error) {
    throw withRemains(error, work);
  }
}

/**
 * Waits for the end of the run.
 *
 * @throws OnnxLoraError of the step that failed, with what is left in the folder
 */
async function complete(run: TrainingRun, work: Work): Promise<TrainResult> {
  try {
    for await (const event of run) tell(event, run, work);
    return await run.done;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'LOSS_NOT_FINITE') throw withLowerRate(error, run, work);
    throw withRemains(error, work);
  }
}

const lastCheckpoints = new WeakMap<RunFolder, string>();

function withRemains(error: unknown, { folder }: Work): unknown {
  if (!(error instanceof OnnxLoraError)) return error;
  const checkpoint = lastCheckpoints.get(folder);
  const left =
    checkpoint === undefined
      ? `There is no adapter in "${folder.path}"; --overwrite lets another run take its place.`
      : `The run as it was then is in "${checkpoint}", which serves as an adapter too; once the cause is mended, go on with: ${resumeCommand(folder)}`;
  return new OnnxLoraError(error.code, `${error.message} ${left}`, { cause: error });
}

/** Values of an adapter beyond this have grown without bound: those of trained ones are about 1 or below. */
const GROWN = 1e3;

/** What to do about a loss that is no number: go on at a lower rate, or begin anew where the adapter is beyond help. */
function withLowerRate(error: OnnxLoraError, run: TrainingRun, { folder, settings }: Work): OnnxLoraError {
  const lr = Number((settings.lr / 10).toPrecision(6));
  const checkpoint = lastCheckpoints.get(folder);
  const isGrown = [...run.adapter.tensors.values()].some(({ data }) =>
    (data as Float32Array).some((value) => !(Math.abs(value) < GROWN)),
  );
  const advice =
    checkpoint === undefined || isGrown
      ? `Begin anew with a tenth of the rate: onnx-lora train --config ${quoted(folder.config)} --lr ${lr} --overwrite`
      : `The run as it was then is in "${checkpoint}", which serves as an adapter too; go on from there with a tenth of the rate: ${resumeCommand(folder)} --lr ${lr}`;
  return new OnnxLoraError(error.code, `${error.message} ${advice}`, { cause: error });
}

function resumeCommand({ path }: RunFolder): string {
  return `onnx-lora train --resume ${quoted(path)}`;
}

function record({ folder, history, progress }: Work, event: LoggedEvent): void {
  history.add(event);
  const failure = folder.log(event);
  if (failure) progress.note(`warning: metrics.jsonl cannot be written (${failure.message}); the training goes on.`);
}

function tell(event: TrainEvent, run: TrainingRun, work: Work): void {
  const { progress, folder } = work;
  record(work, event);
  work.trackers?.add(event);
  switch (event.type) {
    case 'step':
      progress.show(event.step, run.steps, progressLine(event));
      break;
    case 'evaluation':
      progress.note(`step ${event.step}: ${metricsLine(event)}${event.best ? '  (best)' : ''}`);
      break;
    case 'checkpoint':
      lastCheckpoints.set(folder, event.folder);
      break;
    case 'skipped':
    case 'warning':
      progress.note(`warning: ${event.message}`);
      break;
    case 'badSample':
      progress.note(`warning: left out (${event.count} so far): ${event.message}`);
      break;
  }
}

function progressLine({ step, steps, loss, lr, samplesPerSecond, secondsLeft }: StepEvent): string {
  return `step ${String(step).padStart(String(steps).length)}/${steps}  loss ${decimals(loss)}  lr ${lr.toExponential(2)}  ${samplesPerSecond.toFixed(0)} samples/s  ${clock(secondsLeft)} left`;
}

function metricsLine({ metrics, intervals }: Pick<Measured, 'metrics' | 'intervals'>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${withInterval(short(value), intervals?.[name])}`)
    .join('  ');
}

/** Where operators run: `412 operators run on webgpu, 1 without a kernel on the CPU (Sign)`. */
function placementLine({ provider, nodes, fallenBack }: ProviderReport): string {
  const named = (reason: FallenBackNode['reason']): string[] =>
    [...new Set(fallenBack.filter((node) => node.reason === reason).map(({ op }) => op))]; // prettier-ignore
  const count = (reason: FallenBackNode['reason']): number =>
    fallenBack.filter((node) => node.reason === reason).length;
  const parts = [`${grouped(nodes[provider] ?? 0)} operators run on ${provider}`];
  const [whole, missing] = [count('shape-arithmetic'), count('no-kernel')];
  if (whole > 0) parts.push(`${whole} on whole numbers on the CPU (${named('shape-arithmetic').join(', ')})`);
  if (missing > 0) parts.push(`${missing} without a kernel on the CPU (${named('no-kernel').join(', ')})`);
  return parts.join(', ');
}

function parameterLine(trainable: number, base: number, modules: number): string {
  const all = base + trainable;
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)} (${modules} modules)`;
}
