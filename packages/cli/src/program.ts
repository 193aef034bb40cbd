/** @file The whole command: its subcommands, and how a call ends. */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { buildCommand } from './commands/build.ts';
import { chatCommand } from './commands/chat.ts';
import { combineCommand } from './commands/adapters/combine.ts';
import { completionCommand } from './commands/about/completion.ts';
import { compareCommand } from './commands/compare.ts';
import { continualCommand } from './commands/continual.ts';
import { convertCommand } from './commands/adapters/convert.ts';
import { evalCommand } from './commands/evaluate.ts';
import { explainCommand } from './commands/about/explain.ts';
import { inspectCommand } from './commands/inspect.ts';
import { exportCommand } from './commands/adapters/export.ts';
import { mergeCommand, unmergeCommand } from './commands/adapters/merge.ts';
import { predictCommand } from './commands/predict.ts';
import { pluginsCommand } from './commands/about/plugins.ts';
import { preprocessCommand } from './commands/preprocess.ts';
import { quantizeCommand } from './commands/quantize.ts';
import { runCommand } from './commands/run.ts';
import { sweepCommand } from './commands/sweep.ts';
import { serveCommand } from './commands/serve.ts';
import { schemaCommand } from './commands/about/schema.ts';
import { tasksCommand } from './commands/about/tasks.ts';
import { trainCommand } from './commands/train.ts';
import type { PluginRegistry } from '@onnx-lora/sdk';
import { didYouMean, nearest, type Plugin } from '@onnx-lora/sdk/plugin';
import { type Context, loadRegistry } from './context.ts';
import { keyOf } from './settings/setting.ts';
import { flagOf, settingElsewhere } from './settings/settings.ts';
import { exitCodes, reportFailure, usageError } from './terminal/errors.ts';
import { addExamples, addSetting, groupFlags, narrowHelp } from './options.ts';
import { askedPlugins } from './plugins/asked.ts';
import { type AskedPlugin, loadNamedPlugins } from './plugins/loadNamed.ts';
import { type Streams, Terminal } from './terminal/terminal.ts';

const commands = [
  inspectCommand,
  trainCommand,
  sweepCommand,
  continualCommand,
  evalCommand,
  compareCommand,
  predictCommand,
  chatCommand,
  serveCommand,
  mergeCommand,
  unmergeCommand,
  exportCommand,
  buildCommand,
  quantizeCommand,
  combineCommand,
  convertCommand,
  preprocessCommand,
  runCommand,
  tasksCommand,
  pluginsCommand,
  schemaCommand,
  explainCommand,
  completionCommand,
];

/** Commands to which plugins make no difference. */
const withoutPlugins: ReadonlySet<string> = new Set(['explain', 'compare']);

/**
 * Runs the command.
 *
 * @param argv the words after the command's own name
 * @param streams where it writes; the process's by default
 * @returns what to exit with: 0 when done, 2 for a mistake of the user's, 1 for a bug, 130 after Ctrl-C
 */
export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  const terminal = new Terminal(streams);
  let exitCode: number = exitCodes.done;
  let registry: PluginRegistry | undefined;
  let asked: readonly AskedPlugin[] = [];
  let plugins: readonly Plugin[] = [];
  const program = createProgram({
    terminal,
    registry: (own) => (own ? loadRegistry(plugins, own) : (registry ??= loadRegistry(plugins))),
    plugins: () => asked.map(({ name }) => name),
    exitWith: (code) => (exitCode = code),
  });
  program.hook('preAction', async (_, command) => {
    asked = await askedPlugins(command.opts());
    plugins = await loadNamedPlugins(asked);
  });
  const json = argv.includes('--json');
  if (json) {
    for (const each of [program, ...program.commands])
      each.showHelpAfterError(false).configureOutput({ outputError: () => undefined });
  }
  try {
    requireCommand(argv, program);
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    const isCommander = error instanceof CommanderError;
    // Help and version come this way too.
    if (isCommander && error.exitCode === 0) return exitCodes.done;
    const command = program.commands.find((each) => each.name() === argv[0]) ?? program;
    const message = isCommander ? inOurWords(error.message, command) : '';
    const hint =
      isCommander && message === error.message ? settingHint(error, (registry ??= loadRegistry(plugins))) : '';
    // commander has said what is wrong already, but for programs.
    if (isCommander && !json) {
      if (hint !== '') terminal.stderr.write(`${hint}\n`);
      return exitCodes.mistake;
    }
    return reportFailure(isCommander ? usageError(`${withoutLabel(message)} ${hint}`.trimEnd()) : error, terminal, {
      debug: argv.includes('--debug'),
      quiet: argv.includes('--quiet'),
      json,
    });
  }
}

/** The command with all its subcommands. */
export function createProgram(context: Context): Command {
  const program = new Command('onnx-lora')
    .description(
      'Adapts ONNX models with LoRA: finds their layers, trains small adapters on your data, measures them, serves them, merges them.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command');
  for (const make of commands) program.addCommand(make(context));
  for (const command of program.commands) if (!withoutPlugins.has(command.name())) addSetting(command, 'plugins');
  addExamples(
    program,
    'onnx-lora inspect models/vit                                   # what can be adapted?',
    'onnx-lora train models/vit --data photos --out runs/photos     # adapt it',
    'onnx-lora predict models/vit cat.jpg --adapter runs/photos     # use it',
  );
  program.addHelpText('after', 'onnx-lora COMMAND --help explains a command and its flags.');
  for (const each of [program, ...program.commands]) {
    speakThrough(each, context.terminal);
    groupFlags(each);
    each.configureHelp(narrowHelp(each.createHelp()));
  }
  return program;
}

/** commander answers `help` of a command that there is not with the help of all. */
function requireCommand([first, word]: readonly string[], { commands: all }: Command): void {
  if (first !== 'help' || word === undefined || word.startsWith('-')) return;
  const names = all.map((command) => command.name());
  if (word === 'help' || names.includes(word)) return;
  throw usageError(`There is no command "${word}".${didYouMean(word, names)} Commands are ${names.join(', ')}.`);
}

/** Where a flag that there is not has another name elsewhere: its name here, in place of what is spelled like it. */
function inOurWords(message: string, { options }: Command): string {
  const [said, flag] = /^error: unknown option '--([\w-]+)'/.exec(message) ?? [];
  const name = flag === undefined ? undefined : settingElsewhere(flag);
  if (name === undefined || options.every(({ long }) => long !== flagOf(name))) return message;
  return `${said}\n(Here it is ${flagOf(name)}.)`;
}

/** Where a flag that there is not looks like a setting of a task: how that is given. */
function settingHint({ code, message }: CommanderError, { tasks }: PluginRegistry): string {
  const [, flag] = /^error: unknown option '--([\w-]+)/.exec(message) ?? [];
  if (code !== 'commander.unknownOption' || flag === undefined) return '';
  const names = new Map(tasks.flatMap(({ settings }) => (settings?.rows ?? []).map(({ name }) => [keyOf(name), name])));
  // commander knows of a flag of its own that is near.
  const key = names.has(flag) || message.includes('Did you mean') ? flag : nearest(flag, names.keys(), 1, 2)[0];
  const name = key === undefined ? undefined : names.get(key);
  return name === undefined ? '' : `"${name}" is a setting of a task, which is given as --set ${name}=…`;
}

function withoutLabel(message: string): string {
  return message.replace(/^error: /, '');
}

function speakThrough(command: Command, terminal: Terminal): void {
  const name = command.parent ? `${command.parent.name()} ${command.name()}` : command.name();
  command
    .exitOverride()
    .showHelpAfterError(`${name} --help lists what it takes.`)
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      outputError: (text, write) =>
        write(inOurWords(text.trimEnd(), command).replace(/^error:/, terminal.errorColours.red('error:')) + '\n'),
      getOutHelpWidth: () => Math.min(terminal.stdout.columns ?? 100, 120),
      getErrHelpWidth: () => Math.min(terminal.stderr.columns ?? 100, 120),
    });
}

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
