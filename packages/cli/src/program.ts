/** @file The whole command: its subcommands, and exit codes. */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { commands } from './commands/index.ts';
import type { PluginRegistry } from '@onnx-lora/sdk';
import type { ServiceModule } from '@onnx-lora/sdk/composition';
import { didYouMean, nearest } from '@onnx-lora/sdk/plugin';
import { commandScope, Context } from './context.ts';
import { readYaml } from './settings/readSettings.ts';
import { keyOf } from './settings/setting.ts';
import { flagOf, settingElsewhere } from './settings/settings.ts';
import { exitCodes, reportFailure, usageError } from './terminal/errors.ts';
import { addExamples, addSetting, type Flags, groupFlags, narrowHelp } from './options.ts';
import { requestedPlugins } from './plugins/requested.ts';
import { type OneCall, builtinPlugins } from './plugins/own.ts';
import type { Streams, Terminal } from './terminal/terminal.ts';

/** Commands that need no plugins. */
const withoutPlugins: ReadonlySet<string> = new Set(['explain', 'compare', 'cache', 'jobs']);

/**
 * Runs the command.
 * @param argv the arguments
 * @param streams the process's streams by default
 * @param replaced modules that override services
 * @returns the exit code: 0 when done, 2 for a user's mistake, 1 for a bug, 130 after Ctrl-C
 */
export async function main(
  argv: readonly string[],
  streams: Streams = process,
  ...replaced: readonly ServiceModule[]
): Promise<number> {
  await using command = commandScope(streams, ...replaced);
  await using context = await Context.of(command);
  context.argv = argv;
  const { terminal } = context;
  const program = await createProgram(context, commandsIn(argv));
  program.hook('preAction', async (_, command) => {
    const asked = await requestedPlugins(command.opts(), context.folder);
    const own = withoutPlugins.has(command.name()) ? [] : await builtinPlugins(await aboutCall(command));
    const { inPlaceOf } = commands[command.name()]!;
    await context.load(asked, inPlaceOf ? await Promise.all(own.map(inPlaceOf)) : own);
  });
  const json = argv.includes('--json');
  if (json) {
    for (const each of [program, ...program.commands])
      each.showHelpAfterError(false).configureOutput({ outputError: () => undefined });
  }
  try {
    requireCommand(argv, program);
    await program.parseAsync(argv, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    const isCommander = error instanceof CommanderError;
    // Help and version arrive here too.
    if (isCommander && error.exitCode === 0) return exitCodes.done;
    const command = program.commands.find((each) => each.name() === argv[0]) ?? program;
    const message = isCommander ? inOurWords(error.message, command) : '';
    const hint = isCommander && message === error.message ? settingHint(error, await context.everything()) : '';
    // commander has printed the error already, except with --json.
    if (isCommander && !json) {
      if (hint !== '') terminal.stderr.write(`${hint}\n`);
      return exitCodes.mistake;
    }
    const mistake = isCommander ? usageError(`${message.replace(/^error: /, '')} ${hint}`.trimEnd()) : error;
    return reportFailure(mistake, terminal, { debug: argv.includes('--debug'), quiet: argv.includes('--quiet'), json });
  }
}

/** Commands whose flags the call may need. */
function commandsIn([first = '', second = '']: readonly string[]): readonly string[] {
  return first === 'completion' ? Object.keys(commands) : [first, second];
}

/** Flags that mean adapters are used. */
const adapting = ['adapter', 'adapters', 'store', 'tuner'] as const;

/** The model, task and adapters of a call. */
async function aboutCall(command: Command): Promise<OneCall> {
  const { model, task, config, ...flags } = command.opts<Flags>();
  const file = typeof config === 'string' ? await readYaml(config) : {};
  const word: unknown = command.processedArgs.flat()[0];
  return {
    command: command.name(),
    model: model ?? file['model'] ?? word,
    task: task ?? file['task'],
    adapts: config !== undefined || adapting.some((flag) => flags[flag] !== undefined),
  };
}

/**
 * Builds the command with all subcommands.
 * @param called commands to load with their flags; others appear only in the help
 */
export async function createProgram(
  context: Context,
  called: readonly string[] = Object.keys(commands),
): Promise<Command> {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const program = new Command('onnx-lora')
    .description(
      'Adapts ONNX models with LoRA: finds their layers, trains small adapters on your data, measures them, serves them, merges them.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command');
  for (const [name, { summary, load }] of Object.entries(commands))
    program.addCommand((called.includes(name) ? (await load())(context) : new Command(name)).summary(summary));
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

function requireCommand([first, word]: readonly string[], { commands: all }: Command): void {
  if (first !== 'help' || word === undefined || word.startsWith('-')) return;
  const names = all.map((command) => command.name());
  if (word === 'help' || names.includes(word)) return;
  throw usageError(`There is no command "${word}".${didYouMean(word, names)} Commands are ${names.join(', ')}.`);
}

/** Suggests our name for another tool's flag. */
function inOurWords(message: string, { options }: Command): string {
  const [said, flag] = /^error: unknown option '--([\w-]+)'/.exec(message) ?? [];
  const name = flag === undefined ? undefined : settingElsewhere(flag);
  if (name === undefined || options.every(({ long }) => long !== flagOf(name))) return message;
  return `${said}\n(Here it is ${flagOf(name)}.)`;
}

/** Suggests `--set` for an unknown flag that looks like a task's setting. */
function settingHint({ code, message }: CommanderError, { tasks }: PluginRegistry): string {
  const [, flag] = /^error: unknown option '--([\w.-]+)/.exec(message) ?? [];
  if (code !== 'commander.unknownOption' || flag === undefined) return '';
  // Other tools call columns.label --label-column.
  const spellings = (name: string): string[] => [keyOf(name), keyOf(name).replace(/^columns\.(.*)$/, '$1-column')];
  const rows = tasks.flatMap(({ settings }) => settings?.rows ?? []);
  const names = new Map(rows.flatMap(({ name }) => spellings(name).map((each) => [each, name])));
  // commander already suggests one of its own flags.
  const key = names.has(flag) || message.includes('Did you mean') ? flag : nearest(flag, names.keys(), 1, 2)[0];
  const name = key === undefined ? undefined : names.get(key);
  return name === undefined ? '' : `"${name}" is a setting of a task, which is given as --set ${name}=…`;
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
