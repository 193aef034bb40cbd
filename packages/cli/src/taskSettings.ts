/** @file Settings that one task has and others have not, from the words of `--set` to values of their kinds. */

import { didYouMean, type TaskFactory, type TaskSetting, type TaskSettingValue } from '@onnx-lora/sdk/plugin';
import { usageError } from './errors.ts';
import { fileOfSet, splitList } from './readSettings.ts';

/**
 * Checks what was given against what the task knows.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name, or a value of another kind
 */
export function taskSettings(
  given: Readonly<Record<string, TaskSettingValue>>,
  { name: task, settings = [] }: TaskFactory,
): Record<string, TaskSettingValue> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const setting = settings.find((each) => each.name === name);
      const file = fileOfSet(given, name);
      if (!setting) throw usageError(unknown(name, task, settings, file));
      return [name, valueOf(value, setting, file)];
    }),
  );
}

function unknown(name: string, task: string, settings: readonly TaskSetting[], file: string | undefined): string {
  const names = settings.map((each) => each.name);
  const where = file === undefined ? `--set ${name}` : `"set.${name}" in "${file}"`;
  if (names.length === 0) return `The task "${task}" has no settings of its own, so ${where} has no use. Leave it out.`;
  const place = file === undefined ? '' : `, which is set in "${file}"`;
  return `The task "${task}" has no setting "${name}"${place}.${didYouMean(name, names)} It has ${names.join(', ')}.`;
}

function valueOf(value: TaskSettingValue, { name, kind }: TaskSetting, file: string | undefined): TaskSettingValue {
  const [where, remedy] =
    file === undefined
      ? [`--set ${name}`, `Write --set ${name}=…`]
      : [`"set.${name}" in "${file}"`, 'Correct it there.'];
  const wrong = (what: string): Error =>
    usageError(`${where} must be ${what}, but it is ${JSON.stringify(value)}. ${remedy}`);
  switch (kind) {
    case 'flag':
      if (value === true || value === 'true') return true;
      if (value === false || value === 'false') return false;
      throw wrong('true or false');
    case 'number': {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      if (typeof number === 'number' && Number.isFinite(number)) return number;
      throw wrong('a number');
    }
    case 'texts':
      if (typeof value === 'string') return splitList(value);
      if (typeof value === 'object') return value;
      throw wrong('a list with commas between');
    case 'text':
      // A file of settings may hold a name that reads as a number.
      if (typeof value === 'string' || typeof value === 'number') return String(value);
      throw wrong('text');
  }
}
