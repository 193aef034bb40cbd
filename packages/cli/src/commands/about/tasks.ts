/** @file `onnx-lora tasks`: what can be learned, and the settings that each task has of its own. */

import { didYouMean, type SettingInfo, type TaskFactory } from '@onnx-lora/sdk/plugin';
import { Command } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { addExamples, addOutput, type OutputFlags } from '../../options.ts';
import { keyOf, type SettingName } from '../../settings/setting.ts';
import { formatTable } from '../../terminal/table.ts';

/** Makes the command. */
export function tasksCommand(context: Context): Command {
  const command = new Command('tasks')
    .summary('list tasks and their settings')
    .description('Lists what --task may be; with a name, the settings that --set gives this task.')
    .argument('[task]', 'one of the tasks');
  addOutput(command);
  addExamples(command, 'onnx-lora tasks', 'onnx-lora tasks image-classification');
  return command.action((name: string | undefined, { json }: OutputFlags) => {
    const { terminal } = context;
    const { tasks } = context.registry();
    const shown = name === undefined ? tasks : [find(name, tasks)];
    if (json) {
      terminal.printJson(
        shown.map(({ name: task, description, settings, defaults = {} }) => ({
          name: task,
          description,
          settings: settings?.rows ?? [],
          defaults,
        })),
      );
      return;
    }
    for (const line of name === undefined
      ? formatTable(tasks.map((task) => [task.name, task.description]))
      : details(shown[0]!))
      terminal.print(line);
  });
}

function find(name: string, tasks: readonly TaskFactory[]): TaskFactory {
  const found = tasks.find((task) => task.name === name);
  if (found) return found;
  const names = tasks.map((task) => task.name);
  throw usageError(`There is no task "${name}".${didYouMean(name, names)} Tasks are ${names.join(', ')}.`);
}

const values: Readonly<Record<SettingInfo['kind'], string>> = {
  text: '=…',
  number: '=<n>',
  flag: '',
  texts: '=…,…',
  choice: '=…',
  other: '=…',
};

function details({ description, settings, defaults = {} }: TaskFactory): string[] {
  const rows = (settings?.rows ?? []).map(({ name, kind, or, description: what }) => [
    `  --set ${name}${values[or ? 'text' : kind]}`,
    what,
  ]);
  const own = Object.entries(defaults).map(([name, value]) => `--${keyOf(name as SettingName)} ${value}`);
  return [
    description,
    ...(own.length === 0 ? [] : [`Unless you say otherwise, it trains with ${own.join(' ')}.`]),
    ...(rows.length === 0 ? ['It has no settings of its own.'] : formatTable(rows)),
  ];
}
