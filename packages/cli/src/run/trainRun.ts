/** @file One training run, from settings to a finished run folder. */

import { type Evaluation, train, type TrainEvent, type TrainResult, type Verdict } from '@onnx-lora/sdk';
import { defined, ExampleSet } from '@onnx-lora/sdk/data';
import type { Context } from '../context.ts';
import { RunHistory } from './history.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';
import { formatReport } from '../report/html.ts';
import { formatCommand } from '../settings/runConfig.ts';
import { RunFolder } from './runFolder.ts';
import type { Settings } from '../settings/setting.ts';
import { grouped } from '../terminal/table.ts';
import { trainOptions } from '../settings/training.ts';
import { type Work, trackersOf, saveAdapter, complete, resumeCommand, placementLine } from './following.ts';
import { measure, begin, worseNote } from './measuring.ts';
import { keepDraws } from './draws.ts';
import { divergenceOf, tellOfDivergence, verdictOfRun } from './verdict.ts';
import { exitCodes } from '../terminal/errors.ts';
import { afterwards } from './shownSections.ts';
import { type PlannedRun, planRun } from './planning.ts';

/** How a run is made, settings aside. */
export interface TrainRunOptions {
  readonly overwrite: boolean;
  /** Go on with the run that is in the folder. */
  readonly resume: boolean;
  readonly quiet: boolean;
  /** Where to stop before the end, to go on later: as the SDK's option. */
  readonly stopAfter?: number | undefined;
  /** Told of each event of the run. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
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
  /** How many examples there are to train on, and held out. */
  readonly examples: { readonly train: number; readonly heldOut: number };
  readonly before: Evaluation['metrics'] | null;
  readonly after: Evaluation['metrics'] | null;
  /** Of the metrics after training. */
  readonly intervals?: Evaluation['intervals'];
  /** Whether the training is shown to have made it worse than before; null where nothing is held out. */
  readonly worse: boolean | null;
  /** Where the loss has grown far above its start; absent of a run that has not diverged. */
  readonly diverged?: TrainResult['diverged'];
  /** Whether the adapter is shown to help, against the best that there is without it; null where nothing is held out. */
  readonly verdict: Verdict | null;
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

/** What is told where a signal ends the process at once. */
const INTERRUPTED = {
  before: 'Interrupted before the first step: nothing has been trained.',
  during: 'Ended at once: what has been trained since the last checkpoint is lost.',
  after: 'Interrupted after training: the adapter is saved, the report is not.',
} as const;

/**
 * Trains and fills the run folder. What can be wrong with settings, model and data is an error before the folder is
 * touched.
 */
export async function runTraining(given: Settings, options: TrainRunOptions, context: Context): Promise<TrainOutcome> {
  const { overwrite, resume, quiet, onEvent } = options;
  const named = given.out === undefined ? undefined : new RunFolder(given.out);
  if (resume) named?.checkUntaken();
  else named?.checkFree(overwrite);
  const progress = new Progress(context.terminal, { quiet });
  const planned = await planRun(given, context, { named, progress });
  const { model, task, prepared, folder, settings, preview, newModules } = planned;
  const work: Work = {
    model,
    task,
    settings,
    progress,
    folder,
    history: new RunHistory(),
    registry: context.registry,
    stage: 'before',
    ...defined({ onEvent }),
  };
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
  folder.lock(() => progress.note(INTERRUPTED[work.stage]));
  try {
    // Another may have begun, or ended, since the folder was looked at.
    if (!resume) folder.checkFree(overwrite);
    return await trainInFolder(work, planned, {
      ...options,
      adapted,
      shown: given.targets === undefined ? others : settings,
    });
  } finally {
    folder.close();
  }
}

/** What {@link trainInFolder} goes by. */
interface InFolder extends TrainRunOptions {
  /** Modules that are adapted. */
  readonly adapted: readonly string[];
  /** Settings for the report. The family's choice is listed as the adapted modules; among them it would only be long. */
  readonly shown: Settings;
}

/** The run itself, in a folder that is this process's. */
async function trainInFolder(
  work: Work,
  { prepared, start: beginning, measures }: PlannedRun,
  { adapted, overwrite, resume, stopAfter, shown }: InFolder,
): Promise<TrainOutcome> {
  const { model, task, settings, progress, folder } = work;
  const { out: _, ...again } = shown;
  // Looked at now, for files may change while it trains.
  const trainedOn = await ExampleSet.of(prepared.train);
  const start =
    measures && !resume
      ? await measure(work, 'base', 'from' in beginning && !prepared.head ? beginning.from : undefined)
      : undefined;
  if (settings.init !== undefined) progress.note(`finding first values (${settings.init})`);
  const run = await train(model, {
    task,
    ...beginning,
    ...trainOptions(settings, folder.checkpoints, overwrite),
    resume,
    onBegin: (done, total) =>
      progress.showLive(done, total, `asking the model as it is  ${grouped(done)} of ${grouped(total)}`),
    ...defined({ stopAfter }),
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
  work.stage = 'during';
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
    work.stage = 'after';
    const stopped = interrupt.code !== undefined;
    const { after, sections } = await afterwards(work, { result, prepared, before, stopped, firstStep: run.firstStep });
    const diverged = divergenceOf(result, settings.loadBest ?? false, before, after);
    tellOfDivergence(work, result, diverged);
    const worse = worseNote(before, after, settings);
    const verdict = verdictOfRun({ before, after, sections, settings });
    if (after?.draws) await keepDraws(folder.path, { after: after.draws });
    await folder.writeReport(
      formatReport({
        model: { name: model.name, family: model.family?.name, parameters: model.parameterCount },
        settings: shown,
        // Into a folder of its own: that of this run is there already.
        command: formatCommand(again),
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
        diverged,
        verdict,
        sections,
        date: new Date(),
        runtime: `Node ${process.versions.node}`,
      }),
    );
    if (worse !== undefined) progress.note(`warning: ${worse}`);
    if (result.stopped && made > 0) progress.note(`To go on: ${resumeCommand(folder)}`);
    return {
      // A script that goes on with the adapter must notice that it is of no use.
      exitCode: interrupt.code ?? (diverged ? exitCodes.diverged : exitCodes.done),
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
        examples: { train: prepared.train.length, heldOut: prepared.validation?.length ?? 0 },
        before: before?.metrics ?? null,
        after: after?.metrics ?? null,
        ...defined({ intervals: after?.intervals }),
        worse: before && after ? worse !== undefined : null,
        ...defined({ diverged }),
        verdict: verdict ?? null,
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

/** How much is trained, as PEFT tells it. */
function parameterLine(trainable: number, base: number, modules: number): string {
  const all = base + trainable;
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)} (${modules} modules)`;
}
