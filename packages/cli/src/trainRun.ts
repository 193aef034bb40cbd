/** @file One training run, from settings to a finished run folder. */

import {
  evaluate,
  type Evaluation,
  type Model,
  OnnxLoraError,
  previewLora,
  type StepEvent,
  type Task,
  train,
  type TrainResult,
  type TrainingRun,
} from '@onnx-lora/sdk';
import type { Context } from './context.ts';
import { exitCodes, usageError } from './errors.ts';
import { Interrupt } from './interrupt.ts';
import { loraOptions, machineOptions } from './lora.ts';
import { Progress } from './progress.ts';
import { formatReport } from './report/html.ts';
import { formatCommand, formatConfig, type ResolvedSettings, resolveSettings } from './runConfig.ts';
import { RunFolder } from './runFolder.ts';
import type { Settings } from './settings.ts';
import { chooseTask, openNamed, requireFlag, requireModel, taskOptions } from './sources.ts';
import { clock, grouped, short } from './table.ts';

/** How a run is made, settings aside. */
export interface TrainRunOptions {
  readonly overwrite: boolean;
  /** Whether held-out data, where there is such, is measured before and after. */
  readonly evaluate: boolean;
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
  readonly seconds: number;
  readonly trainableParameters: number;
  readonly before: Evaluation['metrics'] | null;
  readonly after: Evaluation['metrics'] | null;
}

/** A finished or interrupted run. */
export interface TrainOutcome {
  readonly summary: TrainSummary;
  readonly exitCode: number;
}

/**
 * Trains and fills the run folder. What can be wrong with settings, model and data is an error before the folder is
 * touched.
 */
export async function runTraining(
  given: Settings,
  { overwrite, evaluate: measures, quiet }: TrainRunOptions,
  context: Context,
): Promise<TrainOutcome> {
  const catalogue = context.catalogue();
  const folder = new RunFolder(requireFlag(given.out, 'out', 'name the folder for the run'));
  const data = requireFlag(given.data, 'data', 'name the data to train on');
  folder.checkFree(overwrite);
  const model = await openNamed(requireModel(given.model), catalogue);
  const factory = chooseTask(given.task, model, catalogue);
  const original = given.original === undefined ? undefined : await openNamed(given.original, catalogue);
  const preview = previewLora(model, loraOptions(given, original));
  const targets = given.targets ?? [...preview.targets];
  const settings = resolveSettings(given, {
    model: model.name,
    data,
    task: factory.name,
    // Without targets the family chose; the choice is written down.
    ...(targets.length > 0 ? { targets } : {}),
    out: folder.path,
  });
  const { task, holdsOut } = await prepareOnce(factory.create(taskOptions(settings, data, settings.seed)), model);
  if (given.validation !== undefined && !holdsOut) {
    throw usageError(`The task "${factory.name}" holds no data out, so --validation has no use. Leave it out.`);
  }
  const progress = new Progress(context.terminal, { quiet });
  const work: Work = { model, task, settings, progress };
  const adapted = [...preview.targets, ...preview.parameters, ...preview.tokens];
  progress.note(parameterLine(preview.trainableParameters, model.parameterCount, adapted.length));

  const before = measures && holdsOut ? await measure(work, 'base') : undefined;
  if (settings.init !== undefined) progress.note(`finding first values (${settings.init})`);
  const run = await train(model, {
    task,
    lora: loraOptions(settings, original),
    ...(settings.steps === undefined ? { epochs: settings.epochs! } : { steps: settings.steps }),
    ...pick(settings),
    ...machineOptions(settings),
  });
  const interrupt = new Interrupt(() => {
    run.stop();
    progress.note('Stopping after this step; press Ctrl-C again to end at once.');
  });
  try {
    begin(folder, settings, run);
    if (before) folder.log({ type: 'evaluation', step: 0, examples: before.examples, metrics: before.metrics });
    const { steps, result } = await complete(run, folder, work);
    const { adapter, seconds, loss, steps: made } = result;
    if (made > 0) {
      folder.checkpoint(adapter, made);
      await folder.settle();
      await adapter.save(folder.adapter);
    }
    // Everything is safe now: a Ctrl-C during what follows may end the process.
    interrupt.release();
    const stopped = interrupt.code !== undefined;
    const { targets: _, ...others } = settings;
    const shown = given.targets === undefined ? others : settings;
    const after = before && !stopped ? await measure(work, 'adapted', run) : undefined;
    if (after) folder.log({ type: 'evaluation', step: made, examples: after.examples, metrics: after.metrics });
    await folder.writeReport(
      formatReport({
        model: { name: model.name, family: model.family?.name, parameters: model.parameterCount },
        // The family's choice is listed as the adapted modules; among the settings it would only be long.
        settings: shown,
        command: formatCommand(shown),
        steps,
        planned: run.steps,
        seconds,
        provider: run.provider,
        trainableParameters: run.trainableParameters,
        modules: adapted,
        before,
        after,
        runtime: `Node ${process.versions.node}`,
      }),
    );
    return {
      exitCode: interrupt.code ?? exitCodes.done,
      summary: {
        out: folder.path,
        adapter: made > 0 ? folder.adapter : null,
        report: folder.report,
        steps: made,
        loss: made > 0 ? loss : null,
        stopped,
        seconds,
        trainableParameters: run.trainableParameters,
        before: before?.metrics ?? null,
        after: after?.metrics ?? null,
      },
    };
  } finally {
    run.stop();
    interrupt.release();
    folder.close();
  }
}

interface Work {
  readonly model: Model;
  readonly task: Task;
  readonly settings: ResolvedSettings;
  readonly progress: Progress;
}

/** Reads the data once for training and both evaluations, so that files are decoded once. */
async function prepareOnce(task: Task, model: Model): Promise<{ task: Task; holdsOut: boolean }> {
  const prepared = await task.prepare(model);
  return {
    task: { name: task.name, prepare: () => Promise.resolve(prepared) },
    holdsOut: prepared.validation !== undefined,
  };
}

async function measure(
  { model, task, settings, progress }: Work,
  which: 'base' | 'adapted',
  run?: TrainingRun,
): Promise<Evaluation> {
  const evaluation = await evaluate(model, {
    task,
    ...(run ? { adapter: run.adapter } : {}),
    batchSize: settings.batchSize,
    ...machineOptions(settings),
    onBatch: (done, total) =>
      progress.showLive(
        done,
        total,
        `measuring the ${which === 'base' ? 'base' : 'adapted model'}  ${grouped(done)} of ${grouped(total)}`,
      ),
  });
  const metrics = Object.entries(evaluation.metrics).map(([name, value]) => `${name} ${short(value)}`);
  progress.note(`${which === 'base' ? 'before' : 'after'}: ${metrics.join('  ')}`);
  return evaluation;
}

function begin(folder: RunFolder, settings: ResolvedSettings, run: TrainingRun): void {
  try {
    folder.begin(formatConfig(settings));
  } catch (error) {
    run.stop();
    throw error;
  }
}

/**
 * Waits for the end of the run.
 *
 * @throws OnnxLoraError of the step that failed, with what is left in the folder
 */
async function complete(
  run: TrainingRun,
  folder: RunFolder,
  work: Work,
): Promise<{ steps: StepEvent[]; result: TrainResult }> {
  try {
    const steps = await follow(run, folder, work);
    return { steps, result: await run.done };
  } catch (error) {
    if (!(error instanceof OnnxLoraError)) throw error;
    const checkpoint = await folder.lastCheckpoint();
    const left =
      checkpoint === undefined
        ? `There is no adapter in "${folder.path}"; --overwrite lets another run take its place.`
        : `The adapter of an earlier step is in "${checkpoint}"; name another --out to keep it, or replace it with --overwrite.`;
    throw new OnnxLoraError(error.code, `${error.message} ${left}`, { cause: error });
  }
}

/**
 * Follows the run to its end. Nothing here may wait between an event and `run.adapter`: the run goes on meanwhile, and
 * the adapter would be a later step's.
 */
async function follow(run: TrainingRun, folder: RunFolder, { settings, progress }: Work): Promise<StepEvent[]> {
  const steps: StepEvent[] = [];
  for await (const event of run) {
    steps.push(event);
    const { step, loss, lr, gradNorm, samplesPerSecond } = event;
    folder.log({ type: 'step', step, loss, lr, gradNorm, samplesPerSecond });
    progress.show(step, run.steps, progressLine(event));
    if (step % settings.checkpointEvery === 0 && step < run.steps) folder.checkpoint(run.adapter, step);
    if (folder.hasFailed) run.stop();
  }
  return steps;
}

function progressLine({ step, steps, loss, lr, samplesPerSecond, secondsLeft }: StepEvent): string {
  return `step ${String(step).padStart(String(steps).length)}/${steps}  loss ${loss.toFixed(4)}  lr ${lr.toExponential(2)}  ${samplesPerSecond.toFixed(0)} samples/s  ${clock(secondsLeft)} left`;
}

function parameterLine(trainable: number, base: number, modules: number): string {
  const all = base + trainable;
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)} (${modules} modules)`;
}

function pick({
  batchSize,
  lr,
  schedule,
  warmupSteps,
  weightDecay,
  seed,
  initBatches,
}: ResolvedSettings): Pick<
  ResolvedSettings,
  'batchSize' | 'lr' | 'schedule' | 'warmupSteps' | 'weightDecay' | 'seed' | 'initBatches'
> {
  return {
    batchSize,
    lr,
    schedule,
    warmupSteps,
    weightDecay,
    seed,
    ...(initBatches === undefined ? {} : { initBatches }),
  };
}
