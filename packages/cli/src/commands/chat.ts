/** @file `onnx-lora chat`: chats with a language model, in a terminal or line by line in a pipe. */

import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Adapter, loadAdapter } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { type ChatConversation, type GenerateOptions, generateSettings, openConversation, openGenerator } from '@onnx-lora/text'; // prettier-ignore
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
import { checkNames } from '../settings/choices.ts';
import { readSettings, setBy } from '../settings/readSettings.ts';
import { machineOptions } from '../settings/training.ts';
import { oneModel, openNamed } from '../sources.ts';
import { exitCodes, reportFailure, usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { printable, type Terminal } from '../terminal/terminal.ts';

interface ChatFlags extends Flags {
  readonly adapter?: readonly string[];
  readonly system?: string;
}

/** Name of the model without an adapter. */
const BASE = 'base';

/** Makes the command. */
export function chatCommand(context: Context): Command {
  return commandOf({
    name: 'chat',
    description: `Chats with a language model that has a chat template, and streams its answers to the terminal. The first of several adapters answers; "/adapter NAME" switches, "/adapter ${BASE}" uses none, "/reset" starts over, "/quit" ends. From a pipe, each line is a turn.`,
    words: modelArgument,
    flags: [
      'model',
      'adapters',
      new Option('--system <text>', 'the system message'),
      ['set', `settings of generation: ${generateSettings.rows.map(({ name }) => name).join(', ')}`],
      'schema',
      'provider',
      'precision',
      'threads',
      'mismatch',
      'output',
    ],
    examples: [
      'onnx-lora chat models/smollm --adapter runs/support --adapter runs/polite',
      'onnx-lora chat models/smollm --set temperature=0.7 --set topP=0.9 --set maxNewTokens=400',
      'onnx-lora chat models/smollm --schema package.json',
      "printf 'Hello\\nAnd in French?\\n' | onnx-lora chat models/smollm --json",
    ],
  }).action(async (word: string | undefined, { adapter: sources = [], ...flags }: ChatFlags) => {
    const settings = await readSettings(flags, undefined);
    checkNames(settings, context.registry);
    const options = generateSettings.read(setBy(settings.set ?? {}, generateSettings, 'The command chat'));
    const names = sources.map(nameOf);
    const twice = names.find((name, i) => names.indexOf(name) < i || name === BASE);
    if (twice !== undefined) throw usageError(`Two adapters would be called "${twice}". Rename the folder of one.`);
    const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
    const loaded = await Promise.all(sources.map((source) => loadAdapter(source)));
    const adapters: Record<string, Adapter> = Object.fromEntries(names.map((name, i) => [name, loaded[i]!]));
    const { allowBaseMismatch = false, system } = flags;
    await using generator = await openGenerator(model, { adapters, allowBaseMismatch, ...machineOptions(settings) });
    const beginning = system === undefined ? [] : [{ role: 'system', content: system }];
    const conversation = await openConversation(model, generator, beginning);
    await new Chat({ conversation, options, names, terminal: context.terminal, flags }).run(context.exitWith);
  });
}

/** The last meaningful folder: `support` for `runs/support/adapter`. */
function nameOf(source: string): string {
  const { dir, name } = path.parse(path.resolve(source));
  return name === 'adapter' ? path.basename(dir) : name;
}

interface ChatRequest {
  readonly conversation: ChatConversation;
  readonly options: GenerateOptions;
  readonly names: readonly string[];
  readonly terminal: Terminal;
  readonly flags: ChatFlags;
}

class Chat {
  readonly #request: ChatRequest;
  readonly #isTTY: boolean;
  #adapter: string;

  constructor(request: ChatRequest) {
    this.#request = request;
    this.#isTTY = request.terminal.stdin.isTTY === true;
    this.#adapter = request.names[0] ?? BASE;
  }

  /**
   * Runs until the input ends, or `/quit`. A mistake ends a pipe, and is only reported in a terminal. Ctrl-C ends an
   * answer, and with it a pipe; at the prompt it ends the conversation.
   */
  async run(exitWith: Context['exitWith']): Promise<void> {
    const { terminal } = this.#request;
    const lines = createInterface({ input: terminal.stdin, terminal: false });
    this.#tell('Ctrl-C ends an answer; /adapter NAME, /reset, /quit');
    const leave = (): void => lines.close();
    let asking = this.#ask(leave);
    for await (const line of lines) {
      asking?.release();
      const said = line.trim();
      if (said === '/quit') break;
      try {
        if (said.startsWith('/')) this.#obey(said);
        else if (said !== '' && !(await this.#answer(said)) && !this.#isTTY) return exitWith(exitCodes.interrupted);
      } catch (error) {
        if (!this.#isTTY) throw error;
        reportFailure(error, terminal, { debug: this.#request.flags['debug'] === true, quiet: true, json: false });
      }
      asking = this.#ask(leave);
    }
    asking?.release();
    lines.close();
    if (asking?.code === undefined) return;
    terminal.stderr.write('\n');
    exitWith(asking.code);
  }

  #obey(said: string): void {
    const { conversation, names } = this.#request;
    const [command, name, ...more] = said.split(/\s+/) as [string, ...string[]];
    if (command === '/reset' && name === undefined) {
      conversation.reset();
      return this.#tell('The conversation starts over.');
    }
    const known = [BASE, ...names];
    if (command !== '/adapter' || more.length > 0)
      throw usageError(`There is no command "${said}". Write /adapter NAME, /reset or /quit.`);
    if (name !== undefined && !known.includes(name))
      throw usageError(`There is no adapter "${name}".${didYouMean(name, known)} There are ${known.join(', ')}.`);
    this.#adapter = name ?? this.#adapter;
    this.#tell(`${this.#adapter} answers, of ${known.join(', ')}.`);
  }

  /** @returns false when interrupted */
  async #answer(said: string): Promise<boolean> {
    const { conversation, options, terminal, flags } = this.#request;
    const { json = false } = flags;
    const controller = new AbortController();
    const interrupt = new Interrupt(() => controller.abort());
    const adapter = this.#adapter === BASE ? null : this.#adapter;
    try {
      const writing = conversation.answer(said, { ...options, adapter, signal: controller.signal });
      for (;;) {
        const { done, value } = await writing.next();
        if (done) {
          if (json) terminal.printJson({ adapter, text: value.text, finish: value.finish, tokens: value.tokens });
          else terminal.stdout.write('\n');
          return true;
        }
        if (!json) terminal.stdout.write(this.#shown(value.text));
      }
    } catch (error) {
      if (interrupt.code === undefined) throw error;
      terminal.stdout.write('\n');
      return false;
    } finally {
      interrupt.release();
    }
  }

  /** Escapes control characters for a terminal, not for a file. */
  #shown(text: string): string {
    const { isTTY } = this.#request.terminal.stdout;
    return isTTY ? text.split('\t').map(printable).join('\t') : text;
  }

  /** In a terminal: prompts, and listens for Ctrl-C. */
  #ask(leave: () => void): Interrupt | undefined {
    if (!this.#isTTY) return undefined;
    this.#request.terminal.stderr.write('> ');
    return new Interrupt(leave);
  }

  #tell(line: string): void {
    const { terminal, flags } = this.#request;
    if (this.#isTTY && !flags.quiet) terminal.note(terminal.errorColours.dim(line));
  }
}
