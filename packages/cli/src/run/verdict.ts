/** @file The verdict on a finished run: whether its loss has diverged, and whether the adapter is shown to help. */

import { type Divergence, type TrainResult, type Verdict, verdictOf } from '@onnx-lora/sdk';
import type { ComparedMeasurement, ReportSection } from '@onnx-lora/sdk/tasks';
import { quoted, type ResolvedSettings } from '../settings/runConfig.ts';
import { metricChoice } from '../settings/training.ts';
import { short } from '../terminal/table.ts';
import { record, type Work } from './following.ts';
import type { Measured } from './history.ts';

/** A smaller rise of the held-out loss is no divergence. */
const LEAST_RISE = 0.5;

/**
 * Decides whether a run has diverged: by its training losses; or when the held-out loss is not finite, or more than
 * twice its start and 0.5 above it, and the last training loss is so too, which distinguishes it from overfitting.
 * Undefined when `--load-best` returns an adapter from before the divergence.
 */
export function divergenceOf(
  { diverged, best, steps, loss: last }: Pick<TrainResult, 'diverged' | 'best' | 'steps' | 'loss'>,
  loadsBest: boolean,
  before: Pick<Measured, 'metrics'> | undefined,
  after: Pick<Measured, 'metrics'> | undefined,
): Divergence | undefined {
  const [start, loss] = [before?.metrics['loss'], after?.metrics['loss']];
  if (start !== undefined && loss !== undefined) {
    const bound = start + Math.max(Math.abs(start), LEAST_RISE);
    if (!Number.isFinite(loss) || (loss > bound && !(last <= bound))) return diverged ?? { step: steps, start, loss };
  }
  return loadsBest && best && diverged && best.step < diverged.step ? undefined : diverged;
}

/** Describes the losses, as a sentence that starts in lower case. */
export function lossesOf({ step, start, loss }: Divergence): string {
  const risen = Number.isFinite(loss) ? short(loss) : 'no finite number';
  return `at step ${step} the loss was ${risen}, and it began at ${short(start)}.`;
}

/** Warns of the divergence, with the command that retrains at a tenth of the rate. */
export function warnOfDivergence(work: Work, result: TrainResult, diverged: Divergence | undefined): void {
  if (!diverged) return;
  const { settings, folder, progress } = work;
  const lr = Number((settings.lr / 10).toPrecision(6));
  const message = `The run has diverged, and its adapter is of no use: ${lossesOf(diverged)} Train again with a lower rate: onnx-lora train --config ${quoted(folder.config)} --lr ${lr} --overwrite`;
  // The run itself has recorded divergence of its own losses.
  if (diverged !== result.diverged) record(work, { type: 'warning', step: diverged.step, message });
  progress.note(`warning: ${message}`);
}

export interface Judged {
  readonly before: Measured | undefined;
  readonly after: Measured | undefined;
  /** Sections of the report, some with the task's baselines. */
  readonly sections: readonly ReportSection[];
  readonly settings: Pick<ResolvedSettings, 'from' | 'loadBest' | 'metric'>;
}

/** The verdict on a run; undefined without held-out data or before the run's end. */
export function verdictOfRun({ before, after, sections, settings }: Judged): Verdict | undefined {
  if (!before || !after) return undefined;
  const { metric, loadBest } = settings;
  const baselines = { [nameOfBefore(before, settings)]: before, ...baselinesOf(sections) };
  const verdict = verdictOf(after, baselines, metric === undefined ? {} : { metric: metricChoice(metric) });
  if (!verdict || !loadBest) return verdict;
  return { ...verdict, text: `${verdict.text} The best step was chosen on the same examples, which favours LoRA.` };
}

function nameOfBefore({ probedHead, untrainedHead }: Measured, { from }: Judged['settings']): string {
  if (probedHead) return 'a linear probe on the base';
  if (untrainedHead) return 'an untrained head';
  return from === undefined ? 'the base' : 'the adapter that it began with';
}

/** The baselines of all sections; a name in several sections, one per target, becomes their mean. */
function baselinesOf(sections: readonly ReportSection[]): Record<string, ComparedMeasurement> {
  const all = new Map<string, ComparedMeasurement[]>();
  for (const section of sections) {
    if (section.kind !== 'table') continue;
    for (const [name, own] of Object.entries(section.baselines ?? {})) all.set(name, [...(all.get(name) ?? []), own]);
  }
  return Object.fromEntries([...all].map(([name, parts]) => [name, meanOf(parts)]));
}

function meanOf(parts: readonly ComparedMeasurement[]): ComparedMeasurement {
  const [first, ...others] = parts;
  if (others.length === 0) return first!;
  const mean = (of: (part: ComparedMeasurement) => number): number =>
    parts.reduce((sum, part) => sum + of(part), 0) / parts.length;
  const metrics = Object.keys(first!.metrics).map((name) => [name, mean((part) => part.metrics[name] ?? NaN)] as const);
  const draws = Object.entries(first!.draws ?? {}).flatMap(([name, drawn]) => {
    const isAlike = others.every(
      ({ draws: own }) => own?.[name]?.units === drawn.units && own[name].seed === drawn.seed,
    );
    const values = drawn.values.map((_, i) => mean((part) => part.draws?.[name]?.values[i] ?? NaN));
    return isAlike ? [[name, { ...drawn, values }] as const] : [];
  });
  return { metrics: Object.fromEntries(metrics), draws: Object.fromEntries(draws) };
}
