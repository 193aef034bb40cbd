/** @file What a shell can complete: commands, their flags and what follows them, read off the program itself. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import type { Command, Option } from 'commander';
import { choicesOf } from '../../settings/choices.ts';
import { settingInfos } from '../../settings/settings.ts';
import type { SettingName } from '../../settings/setting.ts';
import { wordsOf } from '../../settings/settingsSchema.ts';

/** What may stand in a place: these words, the name of a file or folder, or something that nobody can guess. */
export type Completions = readonly string[] | 'files' | 'none';

/** One flag. */
export interface CompletedFlag {
  /** `-o`, where there is a short one. */
  readonly short: string | undefined;
  /** `--out`. */
  readonly long: string;
  readonly description: string;
  /** What follows, by its name in the help; absent for a switch. */
  readonly value?: { readonly name: string; readonly completions: Completions };
  readonly repeatable: boolean;
}

/** One command, or the program itself. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletedFlag[];
  /** What its words may be. */
  readonly words: Completions;
}

/** All that can be completed. */
export interface Completable {
  /** Flags without a command. */
  readonly flags: readonly CompletedFlag[];
  readonly commands: readonly CompletedCommand[];
}

/** Reads off the program what can be completed, with what these plugins bring. */
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
  // What follows the flags in their notation: `-o, --out <path>`.
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
