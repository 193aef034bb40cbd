/** @file Resuming: finds the checkpoint, compares its run, and warns of changes. */

import * as path from '../../../platform/path.ts';
import { type AdapterConfig, formatAdapterConfig } from '../../../adapter/formats/peftConfig.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { AnyOptionRow } from '../options/optionRow.ts';
import { type CheckedOptions, type TrainOptions, trainOptionRows } from '../options/options.ts';
import type { RunIdentity } from './checkpoint.ts';
import { type FoundCheckpoint, latestCheckpoint, stepsIn } from './checkpointFolder.ts';

/** Keys of an adapter's config without influence on its numbers. */
const names = new Set(['base_model_name_or_path', 'peft_version', 'task_type', 'inference_mode', 'revision']);

/**
 * All settings that determine a run's numbers, as plain values; others become JSON, functions their source.
 * @param options each under the entry that its row in the options table names
 * @param computed entries computed from options and data, such as `steps` and `groups`
 */
export function identityOf(
  config: AdapterConfig,
  options: CheckedOptions,
  computed: Readonly<Record<string, unknown>>,
): RunIdentity {
  const adapter = Object.entries(JSON.parse(formatAdapterConfig(config)) as Record<string, unknown>)
    .filter(([key]) => !names.has(key))
    .map(([key, value]) => [`adapter ${key}`, value] as const);
  const own = rows.flatMap(([name, { onResume, seenIn }]) =>
    onResume === 'noResult' || seenIn !== undefined ? [] : [[name, options[name]] as const],
  );
  const all = Object.entries({ ...Object.fromEntries(own), ...computed, ...Object.fromEntries(adapter) });
  return Object.fromEntries(all.map(([key, value]) => [key, plain(value)]).filter(([, value]) => value !== 'null'));
}

function plain(value: unknown): string | number | boolean {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return JSON.stringify(value ?? null, (_, each: unknown) => (typeof each === 'function' ? String(each) : each));
}

const rows = Object.entries(trainOptionRows) as [keyof TrainOptions, AnyOptionRow][];
/** Options that may change on resuming. */
const changeable = rows.filter(([, { onResume }]) => onResume === 'mayChange');
const changeableEntries = new Set<string>(changeable.map(([name, { seenIn = name }]) => seenIn));

/** Returns permitted changes, such as `lr was 0.01 and is 0.001`. @throws OnnxLoraError `CONFIG_INVALID` for others */
export function requireSameRun(folder: string, was: RunIdentity, is: RunIdentity): string[] {
  const different = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((key) => was[key] !== is[key]);
  const told = (key: string): string => `${key} was ${shown(was[key])} and is ${shown(is[key])}`;
  const keys = different.filter((key) => !changeableEntries.has(key));
  if (keys.length === 0) return different.map(told);
  if (keys.includes('base')) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The checkpoint "${folder}" was trained on another base: its weights' sha256 begins with ${short(was['base'])}, this model's with ${short(is['base'])}. Open the model that the run began with, or start a new run.`,
    );
  }
  const differences = keys.map(told);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The checkpoint "${folder}" belongs to another run: ${differences.join('; ')}. Resume with the settings that the run began with, but for those that may change (${changeable.map(([name]) => name).join(', ')}), or start a new run in another folder.`,
  );
}

function short(digest: unknown): string {
  return typeof digest === 'string' ? digest.slice(0, 12) : 'nothing';
}

/** Truncates long values, such as lists of modules. */
function shown(value: string | number | boolean | undefined): string {
  const text = value === undefined ? 'not set' : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/**
 * The checkpoint to resume, if any.
 * @throws OnnxLoraError `CONFIG_INVALID` without a folder; `FILE_NOT_FOUND`; `FILE_INVALID` for damaged checkpoints
 */
export async function checkpointToResume({ resume, checkpoints }: TrainOptions): Promise<FoundCheckpoint | undefined> {
  if (resume === undefined || resume === false) return undefined;
  if (resume === true && !checkpoints) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'resume: true continues from checkpoints.folder, but that is missing. Give it, or name the folder as resume.',
    );
  }
  const place = resume === true ? checkpoints!.folder : resume;
  const found = await latestCheckpoint(place);
  if (found || resume === true) return found;
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    `There is no checkpoint in "${place}": it holds no folder step-N. Name the folder of a run that has reached its first checkpoint, or start over.`,
  );
}

/** @throws OnnxLoraError `FILE_INVALID` for a folder with another run's checkpoints */
export async function requireNoOthers({ checkpoints }: TrainOptions, from: FoundCheckpoint | undefined): Promise<void> {
  if (!checkpoints || checkpoints.overwrite || (await stepsIn(checkpoints.folder)).length === 0) return;
  if (from && path.resolve(path.dirname(from.folder)) === path.resolve(checkpoints.folder)) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${checkpoints.folder}" holds checkpoints of an earlier run. Continue from them (resume: true), name another folder, or replace them (overwrite: true).`,
  );
}

/** Warnings about changes since the checkpoint: versions, settings, and unreadable later checkpoints. */
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
