/** @file `onnx-lora completion`: prints a shell's completion script. */

import { Argument, type Command } from 'commander';
import { bashScript } from './bash.ts';
import { completable } from './completable.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';
import type { Context } from '../../context.ts';
import { commandOf } from '../../options.ts';

// The scripts contain all words: calling the command would take a second per press of Tab.
const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** Makes the command. */
export function completionCommand(context: Context): Command {
  const command = commandOf({
    name: 'completion',
    description:
      'Prints a completion script for the shell, for commands, flags and their values: tasks, providers, optimizers and the like, or files. Print it again after an update.',
    examples: [
      'source <(onnx-lora completion bash)   # in ~/.bashrc',
      'source <(onnx-lora completion zsh)    # in ~/.zshrc, after compinit',
      'onnx-lora completion fish > ~/.config/fish/completions/onnx-lora.fish',
    ],
  }).addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(scripts)));
  return command.action((shell: keyof typeof scripts) =>
    context.terminal.print(scripts[shell](completable(command.parent!, context.registry))),
  );
}
