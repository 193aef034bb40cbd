/** @file `onnx-lora plugins`: loaded plugins with their parts, and installed ones. */

import {
  contributionKinds,
  type Contributions,
  type OperatorRule,
  type Plugin,
  type PreprocessorFactory,
  type TaskFactory,
} from '@onnx-lora/sdk/plugin';
import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { commandOf, type Flags } from '../../options.ts';
import { type InstalledPackage, PLUGIN_KEYWORD } from '../../plugins/loadNamed.ts';
import { installedButNotLoaded } from '../../plugins/requested.ts';
import { formatTable } from '../../terminal/table.ts';

/** Makes the command. */
export function pluginsCommand(context: Context): Command {
  return commandOf({
    name: 'plugins',
    description: `Lists the loaded plugins, including those of --plugin, with their contributions, and installed packages with the keyword ${PLUGIN_KEYWORD}. A package is loaded only on request, since loading runs its code.`,
    flags: ['output'],
    examples: [
      'onnx-lora plugins',
      'onnx-lora plugins --plugin onnx-lora-cells          # what this one brings',
      'onnx-lora train models/cells --data photos --plugin onnx-lora-cells',
    ],
  }).action((flags: Flags) => {
    const { plugins, broughtBy } = context.registry;
    const installed = installedButNotLoaded(context);
    const loaded = plugins.map((plugin) => ({ ...facts(plugin), own: context.own.includes(plugin), brought: names(broughtBy(plugin)) })); // prettier-ignore
    const told = { loaded: loaded.map(({ brought, ...plugin }) => ({ ...plugin, ...brought })), installed };
    context.terminal.result(flags, told, () => [
      ...loaded.flatMap(({ name, version, description, own, brought }) => [
        `${[name, version].filter(Boolean).join(' ')}  (${own ? 'comes with the command' : 'asked for'})`,
        ...(description ? [`  ${description}`] : []),
        ...formatTable(Object.entries(brought).map(([kind, list]) => [`  ${kind}`, list.join(', ')])),
      ]),
      ...listed(installed),
    ]);
  });
}

function facts({ name, version = '', description = '' }: Plugin): InstalledPackage {
  return { name, version, description };
}

/** Names of a plugin's parts; for preprocessors their file endings. */
function names(brought: Contributions): Record<string, string[]> {
  const nameOf = (each: object): string => {
    const { domain, op, name, fileEndings } = each as Partial<OperatorRule & TaskFactory & PreprocessorFactory>;
    if (op !== undefined) return [domain, op].filter(Boolean).join(':');
    return name ?? fileEndings?.join(' ') ?? '';
  };
  const lists = contributionKinds.map((kind) => [kind, brought[kind].map(nameOf)] as const);
  return Object.fromEntries(lists.filter(([, list]) => list.length > 0));
}

function listed(installed: readonly InstalledPackage[]): string[] {
  if (installed.length === 0) return [];
  return [
    '',
    'Installed, not loaded (--plugin NAME loads one):',
    ...formatTable(installed.map(({ name, version, description }) => [`  ${name}`, version, description])),
  ];
}
