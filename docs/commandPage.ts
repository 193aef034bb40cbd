/** @file The page of all commands and their flags, made from the command line itself. */

import { examplesOf } from '../packages/cli/src/options.ts';
import { commandScope, Context } from '../packages/cli/src/context.ts';
import { allBuiltinPlugins } from '../packages/cli/src/plugins/own.ts';
import { createProgram } from '../packages/cli/src/program.ts';

type Command = Awaited<ReturnType<typeof createProgram>>;
type Argument = Command['registeredArguments'][number];
type Option = Command['options'][number];

/** The page in Markdown. */
export function commandPage(program: Command): string {
  return `---
title: Command line
order: 10
---

# Command line

All commands of \`onnx-lora\` with arguments and flags, as in \`onnx-lora COMMAND --help\`. [The guide](../guides/command-line.md) shows how they go together. [Settings](./settings.md) lists the flags that a YAML file may have.

Every command knows \`-h, --help\`; \`onnx-lora --version\` prints the version. Results go to stdout, everything else to stderr.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | a bug in onnx-lora or a plugin; \`--debug\` shows where |
| 2 | a mistake in the call, a file or the data; stderr says what, where, and what to do ([error codes](./errors.md)) |
| 3 | a training run has diverged: all is written, but the adapter is useless |
| 130, 143 | training was stopped by Ctrl-C or SIGTERM; its state is saved |

| command | what it does |
| --- | --- |
${program.commands.map((command) => `| [\`${command.name()}\`](#${command.name()}) | ${withFlags(command.summary())} |`).join('\n')}

This page is made from the command itself.

${program.commands.map(section).join('\n\n')}
`;
}

function section(command: Command): string {
  const help = command.createHelp();
  const flags = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  const examples = examplesOf(command);
  return `## ${command.name()}

${withFlags(command.description())}

\`\`\`sh
onnx-lora ${command.name()} ${command.usage()}
\`\`\`

${table('argument', help.visibleArguments(command).map(argumentRow))}

${flagTables(flags)}

${examples.length > 0 ? `Examples\n\n\`\`\`sh\n${examples.join('\n')}\n\`\`\`` : ''}`;
}

/** One table, or one under each of help's headings. */
function flagTables(flags: readonly Option[]): string {
  const groups = new Map<string | undefined, Option[]>();
  for (const flag of flags) {
    const group = groups.get(flag.helpGroupHeading) ?? [];
    groups.set(flag.helpGroupHeading, [...group, flag]);
  }
  return [...groups]
    .map(([heading, own]) => {
      const rows = table('flag', own.map(optionRow));
      return heading === undefined ? rows : `**${heading.replace(/:$/, '')}**\n\n${rows}`;
    })
    .join('\n\n');
}

function table(of: string, rows: readonly string[]): string {
  return rows.length === 0 ? '' : `| ${of} | meaning |\n| --- | --- |\n${rows.join('\n')}`;
}

function argumentRow(argument: Argument): string {
  return row(argument.name(), argument.description, argument.argChoices);
}

function optionRow({ flags, description, argChoices, defaultValue }: Option): string {
  return row(flags, description, argChoices, defaultValue);
}

function row(name: string, description: string, choices?: readonly string[], value?: unknown): string {
  const among = choices ? `: ${choices.map((each) => `\`${each}\``).join(', ')}` : '';
  const otherwise = typeof value === 'string' ? ` (default: ${value})` : '';
  return `| \`${name.replaceAll('|', String.raw`\|`)}\` | ${withFlags(description)}${among}${otherwise} |`;
}

/** A cell of a table, flags in it set as code. */
export function withFlags(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll(/--[a-z][a-z-]*/g, '`$&`');
}

/** A command's context with every plugin of this repository; it prints nothing. */
export async function context(): Promise<Context> {
  const nobody = { write: () => {} };
  const made = await Context.of(commandScope({ stdout: nobody, stderr: nobody }));
  await made.load([], await allBuiltinPlugins());
  return made;
}

/** The command line with every plugin of this repository. */
export async function program(): Promise<ReturnType<typeof createProgram>> {
  return createProgram(await context());
}
