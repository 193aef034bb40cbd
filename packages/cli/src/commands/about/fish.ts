/** @file Completion in fish. */

import type { Completable, CompletedFlag, Completions } from './completable.ts';

/** The completion script for fish. */
export function fishScript({ flags, commands }: Completable): string {
  const lines = [
    ...flags.map((flag) => line('__fish_use_subcommand', flagWords(flag))),
    ...commands.flatMap(({ name, description, flags: own, words }) => {
      const inside = `__fish_seen_subcommand_from ${name}`;
      return [
        line('__fish_use_subcommand', `-a ${name} -d ${quoted(description)}`),
        ...own.map((flag) => line(inside, flagWords(flag))),
        ...(words === 'none' ? [] : [line(inside, words === 'files' ? '-F' : `-a ${quoted(words.join(' '))}`)]),
      ];
    }),
  ];
  return `# Completes onnx-lora in fish. Save it as ~/.config/fish/completions/onnx-lora.fish
complete -c onnx-lora -f
${lines.join('\n')}`;
}

function line(condition: string, rest: string): string {
  return `complete -c onnx-lora -n ${quoted(condition)} ${rest}`;
}

function flagWords({ short, long, description, value }: CompletedFlag): string {
  const spelled = `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  return `${spelled} ${value ? `${values(value.completions)} ` : ''}-d ${quoted(description)}`;
}

function values(completions: Completions): string {
  if (completions === 'files') return '-r -F';
  return completions === 'none' ? '-x' : `-x -a ${quoted(completions.join(' '))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
