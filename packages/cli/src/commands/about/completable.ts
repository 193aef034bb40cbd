/** @file Completions for shells: commands, flags and values, read off the program. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import type { Command, Option } from 'commander';
import { choicesOf } from '../../settings/choices.ts';
import { settingInfos } from '../../settings/settings.ts';
import type { SettingName } from '../../settings/setting.ts';
import { wordsOf } from '../../settings/settingsSchema.ts';

/** Completions of a value: words, files, or nothing. */
export type Completions = readonly string[] | 'files' | 'none';

export interface CompletedFlag {
  readonly short: string | undefined;
  readonly long: string;
  readonly description: string;
  /** The value's placeholder and completions; absent for a switch. */
  readonly value?: { readonly name: string; readonly completions: Completions };
  readonly repeatable: boolean;
}

/** One command, or the program itself. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletedFlag[];
  readonly words: Completions;
}

export interface Completable {
  readonly flags: readonly CompletedFlag[];
  readonly commands: readonly CompletedCommand[];
}

/** Collects the completions of the program with these plugins. */
export function completable(program: Command, registry: PluginRegistry): Completable {
  const help = program.createHelp();
  const choices = choicesOf(registry);
  const commands = help.visibleCommands(program);
  const flagsOf = (command: Command): CompletedFlag[] =>
    help.visibleOptions(command).map((option) => flagOf(option, choices));
  return {
    flags: flagsOf(program),
    commands: commands.map((command) => {
      const [argument] = command.registeredArguments;
      return {
        name: command.name(),
        description: brief(command.summary() || command.description()),
        flags: flagsOf(command),
        words:
          argument === undefined
            ? 'none'
            : argument.name() === 'command'
              ? commands.map((each) => each.name())
              : (argument.argChoices ?? choices[argument.name()] ?? 'files'),
      };
    }),
  };
}

function flagOf(option: Option, choices: ReturnType<typeof choicesOf>): CompletedFlag {
  // The placeholder in commander's notation: `-o, --out <path>`.
  const [, name] = /[<[](.*)[>\]]$/.exec(option.flags) ?? [];
  return {
    short: option.short,
    long: option.long!,
    description: brief(option.description),
    ...(name === undefined ? {} : { value: { name, completions: completionsOf(option, name, choices) } }),
    repeatable: option.parseArg !== undefined,
  };
}

function completionsOf(option: Option, placeholder: string, choices: ReturnType<typeof choicesOf>): Completions {
  const name = option.attributeName();
  const words = choices[name] ?? (Object.hasOwn(settingInfos, name) ? wordsOf(name as SettingName) : []);
  if (words.length > 0) return words;
  return /path|folder|file/.test(placeholder) ? 'files' : 'none';
}

/** The first clause of a description. */
function brief(text: string): string {
  return text.replace(/\s*[;(].*$/s, '');
}
