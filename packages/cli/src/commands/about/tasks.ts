/** @file `onnx-lora tasks`: tasks and their settings. */

import { didYouMean, type SettingInfo, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { commandOf, type Flags } from '../../options.ts';
import { keyOf, type SettingName } from '../../settings/setting.ts';
import { formatTable } from '../../terminal/table.ts';

/** Makes the command. */
export function tasksCommand(context: Context): Command {
  return commandOf({
    name: 'tasks',
    description: "Lists the tasks for --task; with a name, the task's settings for --set.",
    words: { '[task]': 'one of the tasks' },
    flags: ['output'],
    examples: ['onnx-lora tasks', 'onnx-lora tasks image-classification'],
  }).action((name: string | undefined, flags: Flags) => {
    const { tasks } = context.registry;
    const shown = name === undefined ? tasks : [find(name, tasks)];
    const told = shown.map(({ name: task, description, settings, defaults = {} }) => ({
      name: task,
      description,
      settings: settings?.rows ?? [],
      defaults,
    }));
    context.terminal.result(flags, told, () =>
      name === undefined ? formatTable(tasks.map((task) => [task.name, task.description])) : details(shown[0]!),
    );
  });
}

function find(name: string, tasks: readonly TaskFactory[]): TaskFactory {
  const found = tasks.find((task) => task.name === name);
  if (found) return found;
  const names = tasks.map((task) => task.name);
  throw usageError(`There is no task "${name}".${didYouMean(name, names)} Tasks are ${names.join(', ')}.`);
}

/** How a value is written; `=…` for other kinds. */
const values: Readonly<Partial<Record<SettingInfo['kind'], string>>> = { number: '=<n>', flag: '', texts: '=…,…' };

function details({ description, settings, defaults = {} }: TaskFactory): string[] {
  const rows = (settings?.rows ?? []).map(({ name, kind, or, description: what }) => [
    `  --set ${name}${(or ? undefined : values[kind]) ?? '=…'}`,
    what,
  ]);
  const own = Object.entries(defaults).map(([name, value]) => `--${keyOf(name as SettingName)} ${value}`);
  return [
    description,
    ...(own.length === 0 ? [] : [`Unless you say otherwise, it trains with ${own.join(' ')}.`]),
    ...(rows.length === 0 ? ['It has no settings of its own.'] : formatTable(rows)),
  ];
}
