/** @file Whether a finished run is of no use, since its loss has grown without bound: what is said of it, and what the command exits with. */

import type { Divergence, TrainResult } from '@onnx-lora/sdk';
import { exitCodes } from '../terminal/errors.ts';
import { short } from '../terminal/table.ts';
import { quoted } from '../settings/runConfig.ts';
import { record, type Work } from './following.ts';
import type { Measured } from './history.ts';

/** A rise of the held-out loss below this is no divergence. */
const LEAST_RISE = 0.5;

/**
 * Where a run has diverged: as the run says by its training losses; or by a held-out loss that is no finite number, or that is more
 * than twice that before training and 0.5 above it when the last training loss is so as well, which tells it from learning by heart.
 * Undefined for a run that ended with an adapter of before that (`--load-best`).
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

/** The losses by which a run has diverged, as a sentence that begins with a small letter. */
export function lossesOf({ step, start, loss }: Divergence): string {
  const risen = Number.isFinite(loss) ? short(loss) : 'no finite number';
  return `at step ${step} the loss was ${risen}, and it began at ${short(start)}.`;
}

/** Says at the end that the run has diverged, with the command that trains anew at a tenth of the rate. The report has it among its warnings. */
export function tellOfDivergence(work: Work, result: TrainResult, diverged: Divergence | undefined): void {
  if (!diverged) return;
  const { settings, folder, progress } = work;
  const lr = Number((settings.lr / 10).toPrecision(6));
  const message = `The run has diverged, and its adapter is of no use: ${lossesOf(diverged)} Train anew with a lower rate: onnx-lora train --config ${quoted(folder.config)} --lr ${lr} --overwrite`;
  // The run itself has told what its losses show.
  if (diverged !== result.diverged) record(work, { type: 'warning', step: diverged.step, message });
  progress.note(`warning: ${message}`);
}

/** What the command exits with. A script that goes on with the adapter must notice that it is of no use. */
export function exitCodeOf(diverged: Divergence | undefined): number {
  return diverged === undefined ? exitCodes.done : exitCodes.diverged;
}
