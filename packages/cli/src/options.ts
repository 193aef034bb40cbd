/** @file Gives commands their flags. */

import { type Command, type Help, Option } from 'commander';
import { descriptionOf, flagOf, settingInfos } from './settings/settings.ts';
import type { CommandSettingInfo, Heading, SettingName } from './settings/setting.ts';
import { hanging } from './terminal/table.ts';

/** Flags of commands that write files. */
export interface OverwriteFlags {
  /** Whether what is there may be replaced. */
  readonly overwrite?: boolean;
}

/** Flags that every command has. */
export interface OutputFlags {
  /** One JSON value on stdout. */
  readonly json?: boolean;
  /** Nothing on stderr but errors. */
  readonly quiet?: boolean;
}

/** Flags of the settings named. `words` replaces descriptions where a command means something of its own. */
export function addSettings(
  command: Command,
  names: readonly SettingName[],
  words: Partial<Record<SettingName, string>> = {},
): Command {
  for (const name of names) {
    const { form } = settingInfos[name];
    const placeholder = placeholderOf(settingInfos[name]);
    const flag = flagOf(name);
    const spelled = name === 'out' ? `-o, ${flag}` : flag;
    const option = new Option(
      placeholder === undefined ? spelled : `${spelled} ${placeholder}`,
      words[name] ?? descriptionOf(name),
    );
    if (form === 'pairs' || form === 'each')
      option.argParser<string[] | undefined>((each, before) => [...(before ?? []), each]);
    // By the setting's name, whatever the flag is called.
    option.attributeName = () => name;
    command.addOption(option);
    // What commander would say of a flag that nobody gave: `eval` is true without `--no-eval`.
    if (option.negate) command.setOptionValue(name, undefined);
  }
  return command;
}

/** What follows a flag; nothing behind one that is true or false. */
function placeholderOf({ kind, whole, placeholder }: CommandSettingInfo): string | undefined {
  if (placeholder !== undefined || kind === 'flag') return placeholder;
  return whole ? '<n>' : '<x>';
}

/** `--config`. */
export function addConfig(command: Command): Command {
  return command.option('--config <file>', 'YAML file of settings, keys as the flags; flags go before it');
}

/** `--allow-base-mismatch`. */
export function addMismatch(command: Command): Command {
  return command.option('--allow-base-mismatch', 'accept an adapter that says it was trained on other weights');
}

/** `--overwrite`, of commands that write to --out. */
export function addOverwrite(command: Command): Command {
  return command.option('--overwrite', 'replace what is there; without it, that is refused');
}

/** `--json`, `--quiet` and `--debug`. */
export function addOutput(command: Command): Command {
  return command
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'say nothing on the way')
    .option('--debug', 'show the stack of an error');
}

const examples = new WeakMap<Command, readonly string[]>();

/** Examples after the flags, one a line; `#` begins a comment. */
export function addExamples(command: Command, ...lines: readonly string[]): Command {
  examples.set(command, lines);
  return command.addHelpText('after', ({ error }) => {
    const output = command.configureOutput();
    const width = (error ? output.getErrHelpWidth?.() : output.getOutHelpWidth?.()) ?? 80;
    return `\nExamples:\n${lines.map((line) => exampleText(line, width)).join('\n')}\n`;
  });
}

/** On one line where it fits; else its comment stands above, and lines go on as a shell lets them. */
function exampleText(line: string, width: number): string {
  if (line.length + 2 <= width) return `  ${line}`;
  const [, command, comment] = /^(.*?)(?: +#(.*))?$/.exec(line)!;
  const above = comment === undefined ? '' : `${hanging(`  #${comment}`, width, 4)}\n`;
  return above + hanging(`  ${command}`, width - 2, 4).replaceAll('\n', ' \\\n');
}

/** From so many flags on, help has them under headings. */
const MANY = 30;

/** Headings of flags that are no settings. */
const otherGroups: Readonly<Record<string, Heading | undefined>> = {
  config: 'Model, data and task',
  resume: 'The run and its folder',
  overwrite: 'The run and its folder',
  json: 'The run and its folder',
  quiet: 'The run and its folder',
  debug: 'The run and its folder',
};

/** Puts flags under headings, where there are many. */
export function groupFlags({ options }: Command): void {
  if (options.length < MANY) return;
  const ofSettings: Readonly<Record<string, CommandSettingInfo | undefined>> = settingInfos;
  for (const option of options) {
    const name = option.attributeName();
    option.helpGroup(`${ofSettings[name]?.group ?? otherGroups[name] ?? 'Other options'}:`);
  }
}

/** On a narrow terminal, what a flag means stands below it. */
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
