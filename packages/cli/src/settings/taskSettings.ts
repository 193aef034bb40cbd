/** @file Settings that one task has and others have not, from the words of `--set` to values of their kinds. */

import { settingsOf, type SettingTable, type SettingValues, type TaskFactory } from '@onnx-lora/sdk/plugin';
import { fileOfSet } from './readSettings.ts';
import type { Settings } from './setting.ts';

/** Settings with those of the task as values of their kinds, so that config.yaml has a number as a number. */
export function withTaskSettings(settings: Settings, factory: TaskFactory): Settings {
  return settings.set === undefined ? settings : { ...settings, set: { ...taskSettings(settings.set, factory) } };
}

/**
 * What was given, as the task's own table of settings takes it. What was converted once stays as it is.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name, or a value that cannot be
 */
export function taskSettings(given: SettingValues, { name: task, settings }: TaskFactory): SettingValues {
  return setBy(given, settings ?? settingsOf<unknown>({}), `The task "${task}"`);
}

/**
 * What was given by `--set`, as a table of settings takes it.
 *
 * @param owner whose settings they are, for messages: `The task "forecast"`
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name, or a value that cannot be
 */
export function setBy(given: SettingValues, table: Pick<SettingTable, 'check'>, owner: string): SettingValues {
  const fileOf = (name: string): string | undefined => fileOfSet(given, name);
  return table.check(given, {
    owner,
    where: (name) => (fileOf(name) === undefined ? `--set ${name}` : `"set.${name}" in "${fileOf(name)}"`),
    remedy: (name) => (fileOf(name) === undefined ? `Write --set ${name}=….` : 'Correct it there.'),
    place: (name) => (fileOf(name) === undefined ? '' : `, which is set in "${fileOf(name)}"`),
  });
}
