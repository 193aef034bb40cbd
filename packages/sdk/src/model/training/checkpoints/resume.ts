/** @file Going on from a checkpoint: which one, and what to say where things are no longer the same. */

import path from 'node:path';
import { OnnxLoraError } from '../../../errors.ts';
import { type FoundCheckpoint, latestCheckpoint, stepsIn } from './checkpointFolder.ts';
import type { TrainOptions } from '../options/options.ts';

/**
 * The checkpoint that a run goes on from; undefined where it begins.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where no folder is named, `FILE_NOT_FOUND` for one without a checkpoint,
 *   `FILE_INVALID` for damaged ones
 */
export async function checkpointToResume({ resume, checkpoints }: TrainOptions): Promise<FoundCheckpoint | undefined> {
  if (resume === undefined || resume === false) return undefined;
  if (resume === true && !checkpoints) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'resume: true goes on from checkpoints.folder, which is not given. Give it, or name the folder as resume.',
    );
  }
  const place = resume === true ? checkpoints!.folder : resume;
  const found = await latestCheckpoint(place);
  if (found || resume === true) return found;
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    `There is no checkpoint in "${place}": it holds no folder step-N. Name the folder of a run that has reached its first checkpoint, or start anew.`,
  );
}

/** @throws OnnxLoraError `FILE_INVALID` for a folder that holds another run's checkpoints */
export async function requireNoOthers({ checkpoints }: TrainOptions, from: FoundCheckpoint | undefined): Promise<void> {
  if (!checkpoints || checkpoints.overwrite || (await stepsIn(checkpoints.folder)).length === 0) return;
  if (from && path.resolve(path.dirname(from.folder)) === path.resolve(checkpoints.folder)) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${checkpoints.folder}" holds checkpoints of an earlier run. Go on from them (resume: true), name another folder, or replace them (overwrite: true).`,
  );
}

/** What has changed since the checkpoint: versions, settings, and later checkpoints that cannot be read. */
export function warningsOf(
  from: FoundCheckpoint,
  versions: Readonly<Record<string, string>>,
  settings: readonly string[],
): string[] {
  const changed = Object.keys(versions).filter((name) => from.versions[name] !== versions[name]);
  const changes = changed.map((name) => `${name} was ${from.versions[name] ?? 'unknown'} and is ${versions[name]}`);
  return [
    ...from.passedOver.map((message) => `Going on from "${from.folder}", since a later one is damaged: ${message}`),
    ...(settings.length > 0 ? [`From step ${from.step} on: ${settings.join('; ')}.`] : []),
    ...(changes.length > 0
      ? [`The run began elsewhere, so it may not end bit for bit as it would have: ${changes.join('; ')}.`]
      : []),
  ];
}
