/** @file Gives commands their flags. */

import { type Command, Option } from 'commander';
import { descriptionOf, flagOf, type SettingName, settingInfos } from './settings.ts';

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
    const { form, placeholder } = settingInfos[name];
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

/** `--config`. */
export function addConfig(command: Command): Command {
  return command.option('--config <file>', 'YAML file of settings, keys as the flags; flags go before it');
}

/** `--allow-base-mismatch`. */
export function addMismatch(command: Command): Command {
  return command.option('--allow-base-mismatch', 'accept an adapter that says it was trained on other weights');
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
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`);
}

/** The examples of a command. */
export function examplesOf(command: Command): readonly string[] {
  return examples.get(command) ?? [];
}
