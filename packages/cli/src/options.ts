/** @file Builds commands: arguments, flags, and examples in their help. */

import type { Heading } from '@onnx-lora/sdk/core';
import { Command, type Help, Option } from 'commander';
import { descriptionOf, flagOf, settingInfos } from './settings/settings.ts';
import type { CommandSettingInfo, SettingName } from './settings/setting.ts';
import { hanging } from './terminal/table.ts';

/** Flags that several commands share besides settings; others by name. */
export interface Flags extends Readonly<Record<string, unknown>> {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly overwrite?: boolean;
  readonly allowBaseMismatch?: boolean;
  readonly config?: string;
  readonly weight?: readonly string[];
}

type SharedFlag = 'config' | 'mismatch' | 'overwrite' | 'adapters' | 'weights' | 'schema' | 'output';

/** Shared flags, created per command because help groups modify them. */
const shared: Readonly<Record<SharedFlag, () => readonly Option[]>> = {
  config: () => [new Option('--config <file>', 'YAML file of settings, with the flags as keys; flags override it')],
  mismatch: () => [new Option('--allow-base-mismatch', 'accept an adapter trained on other weights')],
  overwrite: () => [new Option('--overwrite', 'replace an existing file or folder')],
  adapters: () => [
    new Option(
      '--adapter <path>',
      'PEFT folder, folder of a training run, or .onnx_adapter file; repeatable',
    ).argParser(collect),
  ],
  weights: () => [
    new Option(
      '--weight <x>',
      'weights of the adapters, in their order; repeatable or comma-separated (default: 1 each)',
    ).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), ...text.split(',')]),
  ],
  schema: () => {
    const option = new Option('--schema <file>', "JSON schema of a language model's answers (--set schema=…)");
    option.attributeName = () => 'set';
    return [
      option.argParser((file: string, before: readonly string[] | undefined) => collect(`schema=${file}`, before)),
    ];
  },
  output: () => [
    new Option('--json', 'print the result as JSON'),
    new Option('--quiet', 'print no progress'),
    new Option('--debug', 'show the stack of an error'),
  ],
};

/** A flag: shared, a setting (with its own description here), or the command's own. */
export type Flag = SharedFlag | SettingName | readonly [setting: SettingName, meaning: string] | Option;

export interface CommandInfo {
  readonly name: string;
  readonly description: string;
  /** Usage line, where the arguments do not show it. */
  readonly usage?: string;
  /** Arguments in commander's notation, with descriptions. */
  readonly words?: Readonly<Record<string, string>>;
  /** In the order of `--help`. */
  readonly flags?: readonly Flag[];
  /** One per line; `#` starts a comment. */
  readonly examples: readonly string[];
}

/** The argument of a command that takes only a model. */
export const modelArgument = { '[model]': 'folder, .onnx file or hub id; or --model' } as const;

/** Builds a command without its action. */
export function commandOf({ name, description, usage, words = {}, flags = [], examples }: CommandInfo): Command {
  const command = new Command(name).description(description);
  if (usage !== undefined) command.usage(usage);
  for (const [word, meaning] of Object.entries(words)) command.argument(word, meaning);
  for (const flag of flags) {
    if (flag instanceof Option) command.addOption(flag);
    else if (typeof flag === 'string' && Object.hasOwn(shared, flag))
      for (const option of shared[flag as SharedFlag]()) command.addOption(option);
    else if (typeof flag === 'string') addSetting(command, flag as SettingName);
    else addSetting(command, flag[0], flag[1]);
  }
  return addExamples(command, ...examples);
}

/** Adds the flag of a setting. */
export function addSetting(command: Command, name: SettingName, meaning: string = descriptionOf(name)): Command {
  const { form } = settingInfos[name];
  const placeholder = placeholderOf(settingInfos[name]);
  const flag = flagOf(name);
  const spelled = name === 'out' ? `-o, ${flag}` : flag;
  const option = new Option(placeholder === undefined ? spelled : `${spelled} ${placeholder}`, meaning);
  if (form === 'pairs' || form === 'each') option.argParser(collect);
  // Stored under the setting's name, whatever the flag is.
  option.attributeName = () => name;
  command.addOption(option);
  // commander defaults `eval` to true because of `--no-eval`.
  if (option.negate) command.setOptionValue(name, undefined);
  return command;
}

/** Parses a flag that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** The placeholder of a flag's value; none for a boolean. */
function placeholderOf({ kind, whole, placeholder }: CommandSettingInfo): string | undefined {
  if (placeholder !== undefined || kind === 'flag') return placeholder;
  return whole ? '<n>' : '<x>';
}

const examples = new WeakMap<Command, readonly string[]>();

/** Adds examples after the flags, one per line; `#` starts a comment. */
export function addExamples(command: Command, ...lines: readonly string[]): Command {
  examples.set(command, lines);
  return command.addHelpText('after', ({ error }) => {
    const output = command.configureOutput();
    const width = (error ? output.getErrHelpWidth?.() : output.getOutHelpWidth?.()) ?? 80;
    return `\nExamples:\n${lines.map((line) => exampleText(line, width)).join('\n')}\n`;
  });
}

/** On one line where it fits; else with the comment above and shell line continuations. */
function exampleText(line: string, width: number): string {
  if (line.length + 2 <= width) return `  ${line}`;
  const [, command, comment] = /^(.*?)(?: +#(.*))?$/.exec(line)!;
  const above = comment === undefined ? '' : `${hanging(`  #${comment}`, width, 4)}\n`;
  return above + hanging(`  ${command}`, width - 2, 4).replaceAll('\n', ' \\\n');
}

/** With this many flags, help groups them under headings. */
const MANY = 30;

const otherGroups: Readonly<Record<string, Heading | undefined>> = {
  config: 'Model, data and task',
  resume: 'The run and its folder',
  overwrite: 'The run and its folder',
  json: 'The run and its folder',
  quiet: 'The run and its folder',
  debug: 'The run and its folder',
  on: 'Hardware',
  attach: 'Hardware',
  sharedFolder: 'Hardware',
  workers: 'Hardware',
};

/** Groups many flags under headings. */
export function groupFlags({ options }: Command): void {
  if (options.length < MANY) return;
  const ofSettings: Readonly<Record<string, CommandSettingInfo | undefined>> = settingInfos;
  for (const option of options) {
    const name = option.attributeName();
    option.helpGroup(`${ofSettings[name]?.group ?? otherGroups[name] ?? 'Other options'}:`);
  }
}

/** Puts descriptions below flags on a narrow terminal. */
export function narrowHelp(help: Help): Partial<Help> {
  const formatItem = help.formatItem.bind(help);
  return {
    formatItem(term, termWidth, description, helper) {
      const width = helper.helpWidth ?? 80;
      if (!description || width - termWidth >= helper.minWidthToWrap + 4)
        return formatItem.call(helper, term, termWidth, description, helper);
      return `  ${term}\n${hanging(`      ${description}`, width, 6)}`;
    },
  };
}

/** The examples of a command. */
export function examplesOf(command: Command): readonly string[] {
  return examples.get(command) ?? [];
}
