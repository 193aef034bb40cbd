/** @file One training run, from settings to a finished run folder. */

import { type Evaluation, train, type TrainEvent, type TrainResult, type Verdict } from '@onnx-lora/sdk';
import { withoutUndefined, ExampleSet } from '@onnx-lora/sdk/data';
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
import { divergenceOf, warnOfDivergence, verdictOfRun } from './verdict.ts';
import { withFastestPrecision } from './fastestPrecision.ts';
import { exitCodes } from '../terminal/errors.ts';
import { measureAndReport } from './shownSections.ts';
import { type PlannedRun, planRun } from './planning.ts';

export interface TrainRunOptions {
  readonly overwrite: boolean;
  readonly resume: boolean;
  readonly quiet: boolean;
  /** Where to pause: the SDK's option. */
  readonly stopAfter?: number | undefined;
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
}

/** Result of a run, as `--json` prints it. */
export interface TrainSummary {
  readonly out: string;
  readonly adapter: string | null;
  readonly report: string;
  readonly steps: number;
  /** Null without a step. */
  readonly loss: number | null;
  readonly stopped: boolean;
  readonly endedBy: TrainResult['endedBy'];
  readonly seconds: number;
  readonly trainableParameters: number;
  readonly examples: { readonly train: number; readonly heldOut: number };
  readonly before: Evaluation['metrics'] | null;
  readonly after: Evaluation['metrics'] | null;
  /** Intervals of the metrics after training. */
  readonly intervals?: Evaluation['intervals'];
  /** Whether training is shown to have made it worse; null without held-out data. */
  readonly worse: boolean | null;
  readonly diverged?: TrainResult['diverged'];
  /** Whether the adapter is shown to help over the best baseline; null without held-out data. */
  readonly verdict: Verdict | null;
  readonly best: TrainResult['best'] | null;
  readonly skippedSteps: number;
  readonly badSamples: number;
}

export interface TrainOutcome {
  readonly summary: TrainSummary;
  readonly exitCode: number;
}

const INTERRUPTED = {
  before: 'Interrupted before the first step: nothing has been trained.',
  during: 'Ended at once: what has been trained since the last checkpoint is lost.',
  after: 'Interrupted after training: the adapter is saved, the report is not.',
} as const;

/** Trains into the run's folder. Errors of settings, model and data come before the folder is touched. */
export async function runTraining(given: Settings, options: TrainRunOptions, context: Context): Promise<TrainOutcome> {
  const { overwrite, resume, quiet, onEvent } = options;
  const named = given.out === undefined ? undefined : new RunFolder(given.out);
  if (resume) named?.checkUntaken();
  else named?.checkFree(overwrite);
  const progress = new Progress(context.terminal, { quiet });
  const settled = given.precision === 'auto' ? await withFastestPrecision(given, context, progress) : given;
  const planned = await planRun(settled, context, { named, progress });
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
    ...withoutUndefined({ onEvent, part: context.part }),
  };
  const adapted = [...preview.targets, ...preview.parameters, ...preview.tokens];
  if (prepared.head) {
    progress.note(
      prepared.head.attach
        ? `The model has no head for this task: ${newModules.join(', ')} begins with ${prepared.head.labels.length} output${prepared.head.labels.length === 1 ? '' : 's'}, and is trained in full.`
        : `The labels are not the model's: ${newModules.join(', ')} ${newModules.length > 1 ? 'each get' : 'gets'} ${prepared.head.labels.length} new outputs, and ${newModules.length > 1 ? 'are' : 'is'} trained in full.`,
    );
  }
  const notes = prepared.notes ?? [];
  for (const note of notes) progress.note(note);
  // Some tasks describe their split themselves.
  if (prepared.validation && !notes.some((note) => note.includes('held out'))) {
    progress.note(
      `${grouped(prepared.train.length)} examples to train on, ${grouped(prepared.validation.length)} held out`,
    );
  }
  progress.note(parameterLine(preview.trainableParameters, model.parameterCount, adapted.length));

  const { targets: _, ...others } = settings;
  folder.lock(() => progress.note(INTERRUPTED[work.stage]));
  try {
    // Another process may have started since the first check.
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

interface InFolder extends TrainRunOptions {
  readonly adapted: readonly string[];
  /** Settings for the report, without the family's targets, which are listed as adapted modules. */
  readonly shown: Settings;
}

async function trainInFolder(
  work: Work,
  { prepared, start: beginning, measures }: PlannedRun,
  { adapted, overwrite, resume, stopAfter, shown }: InFolder,
): Promise<TrainOutcome> {
  const { model, task, settings, progress, folder } = work;
  const { out: _, ...again } = shown;
  // Before training, as files may change meanwhile.
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
      progress.showLive(done, total, `evaluating the frozen model   ${grouped(done)} of ${grouped(total)}`),
    ...withoutUndefined({ stopAfter, exchange: work.part }),
  });
  work.part?.begun(run.firstStep);
  if (run.prefix.kept) {
    progress.note(
      `caching outputs of the frozen layers per example:  ${(100 * run.prefix.share).toFixed(0)}% of the forward pass`,
    );
  }
  if (run.provider !== 'cpu') {
    // Not awaited: the run answers before its next step, or ends.
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
    // Everything is saved: from here on Ctrl-C may end the process.
    interrupt.release();
    work.stage = 'after';
    const stopped = interrupt.code !== undefined;
    const { after, sections } = await measureAndReport(work, {
      result,
      prepared,
      before,
      stopped,
      firstStep: run.firstStep,
    });
    const diverged = divergenceOf(result, settings.loadBest ?? false, before, after);
    warnOfDivergence(work, result, diverged);
    const worse = worseNote(before, after, settings);
    const verdict = verdictOfRun({ before, after, sections, settings });
    if (after?.draws) await keepDraws(folder.path, { after: after.draws });
    await folder.writeReport(
      formatReport({
        model: { name: model.name, family: model.family?.name, parameters: model.parameterCount },
        settings: shown,
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
    if (result.stopped && made > 0) progress.note(`To continue: ${resumeCommand(folder)}`);
    return {
      // Scripts must notice an unusable adapter.
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
        ...withoutUndefined({ intervals: after?.intervals }),
        worse: before && after ? worse !== undefined : null,
        ...withoutUndefined({ diverged }),
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

/** Trainable parameters, in PEFT's format. */
function parameterLine(trainable: number, base: number, modules: number): string {
  const all = base + trainable;
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)} (${modules} modules)`;
}
