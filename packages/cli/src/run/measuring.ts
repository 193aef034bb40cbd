/** @file Measurements before and after a run. */

import { evaluate, type Evaluation, type TrainResult, type TrainingRun, verdictOf } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type PreparedTask, worseMetric } from '@onnx-lora/sdk/tasks';
import type { Measured } from './history.ts';
import { machineOptions, metricChoice } from '../settings/training.ts';
import { wantsTensorBoard } from '../plugins/trackers.ts';
import { formatConfig, type ResolvedSettings } from '../settings/runConfig.ts';
import { keepDraws, readDraws } from './draws.ts';
import { grouped, short } from '../terminal/table.ts';
import { metricsLine, record, type Work } from './following.ts';

const PROBE = 'a linear probe as its head';

/** Measures the base or an adapter on held-out data, with progress. */
export async function measure(
  { model, task, settings, progress }: Work,
  which: 'base' | 'adapted',
  adapter?: TrainingRun['adapter'],
): Promise<Evaluation> {
  const what = which === 'base' ? 'base' : 'adapted model';
  const evaluation = await evaluate(model, {
    task,
    batchSize: settings.batchSize,
    ...withoutUndefined({ adapter, onBadSample: settings.onBadSample }),
    ...machineOptions(settings),
    onBatch: (done, total) =>
      progress.showLive(done, total, `measuring the ${what}  ${grouped(done)} of ${grouped(total)}`),
  });
  for (const { message } of evaluation.badSamples ?? [])
    progress.note(`warning: a held-out example is left out: ${message}`);
  const { probedHead, untrainedHead } = evaluation;
  const head = probedHead ? `, with ${PROBE}` : untrainedHead ? ', with an untrained head' : '';
  const when = which === 'adapted' ? 'after' : `before${head}`;
  progress.note(`${when}: ${metricsLine(evaluation)}`);
  return evaluation;
}

/** Prepares the folder; when resuming, restores the history. @returns the base's measurement */
export async function begin(
  work: Work,
  run: TrainingRun,
  resume: boolean,
  start: Evaluation | undefined,
): Promise<Measured | undefined> {
  const { folder, settings, history, progress } = work;
  const records = wantsTensorBoard(settings);
  try {
    if (resume) {
      const { events, damaged } = await folder.goOn(run.firstStep, formatConfig(settings), records);
      for (const event of events) history.add(event);
      if (damaged > 0)
        progress.note(`warning: ${damaged} line${damaged === 1 ? '' : 's'} of metrics.jsonl could not be read, and the report lacks what they told.`); // prettier-ignore
      progress.note(
        run.firstStep > 0
          ? `continuing after step ${run.firstStep}`
          : 'The run had not reached its first checkpoint, so it starts over.',
      );
      const measured = history.evaluations.find(({ step }) => step === 0);
      return measured && { ...measured, draws: readDraws(folder.path).before };
    }
    folder.begin(formatConfig(settings), records);
  } catch (error) {
    run.stop();
    throw error;
  }
  if (!start) return undefined;
  const { examples, metrics, confusion, intervals, draws, probedHead, untrainedHead } = start;
  const head = { ...(probedHead && { probedHead }), ...(untrainedHead && { untrainedHead }) };
  const measured = { step: 0, examples, metrics, ...withoutUndefined({ intervals }), ...head };
  record(work, { type: 'evaluation', ...measured });
  if (draws) await keepDraws(folder.path, { before: draws });
  return { ...measured, confusion, draws };
}

/** The returned adapter's metrics, from the run or measured now. */
export async function measureAfter(
  work: Work,
  { result: { adapter, steps, best }, prepared, before, firstStep }: Omit<Ended, 'stopped'>,
): Promise<Measured> {
  const { history, settings, progress } = work;
  const [last, step] = settings.loadBest ? [history.best, best?.step] : [history.last, steps];
  // A task with its own measure has measured something else during the run.
  const isAlike = last?.step === step && !prepared.measure && (last?.intervals || !before?.intervals);
  const known = isAlike ? last : undefined;
  // Records of an earlier call have no confusion matrix.
  if (known && (known.draws || !before?.draws) && (known.confusion || known.step > firstStep)) {
    progress.note(`after: ${metricsLine(known)}`);
    return known;
  }
  const { examples, metrics, confusion, intervals, draws } = await measure(work, 'adapted', adapter);
  const measured = { step: step ?? steps, examples, metrics, confusion, ...withoutUndefined({ intervals }) };
  if (!known) record(work, { type: 'evaluation', ...measured });
  return { ...measured, draws };
}

/** Warns when held-out data is shown to be worse after training; without draws, when it measures worse. */
export function worseNote(
  before: Measured | undefined,
  after: Measured | undefined,
  { metric, lr }: Pick<ResolvedSettings, 'metric' | 'lr'>,
): string | undefined {
  const choice = metric === undefined ? undefined : metricChoice(metric);
  const worse = before && after && worseMetric(before.metrics, after.metrics, choice);
  if (!worse) return undefined;
  const verdict = verdictOf(after, { before }, { metric: choice });
  if (verdict?.interval && verdict.outcome !== 'harms') return undefined;
  const on = after.examples === 1 ? 'one held-out example' : `${grouped(after.examples)} held-out examples`;
  return `the training has made it worse: ${worse.name} was ${short(worse.before)} and is ${short(worse.after)} on ${on}. Try a lower rate (--lr ${Number((lr / 10).toPrecision(2))}) or fewer --epochs first, or keep the best step (--eval-every epoch --load-best).`;
}

export interface Ended {
  readonly result: TrainResult;
  readonly prepared: PreparedTask;
  readonly before: Measured | undefined;
  readonly stopped: boolean;
  /** The step after which the run started. */
  readonly firstStep: number;
}
