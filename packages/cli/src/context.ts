/** @file The command's composition root, and what every command is given of it. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import { type Key, key, nodeModule, OPEN_MODEL, type OpenModel, pluginsModule, REGISTRY, Scope, type ServiceModule } from '@onnx-lora/sdk/composition'; // prettier-ignore
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { type AskedPlugin, loadNamedPlugins } from './plugins/loadNamed.ts';
import { allOwnPlugins } from './plugins/own.ts';
import { type Streams, Terminal } from './terminal/terminal.ts';

/** Where the command reads and writes. */
const TERMINAL: Key<Terminal> = key('terminal');

/** The folder in which the command is called. */
export const FOLDER: Key<string> = key('folder');

/**
 * The services of the command, as Node has them.
 *
 * @param replaced modules whose services are in place of these, such as `(provide) => provide(FOLDER, () => '/tmp')`
 */
export function commandScope(streams: Streams, ...replaced: readonly ServiceModule[]): Scope {
  const command: ServiceModule = (provide) => {
    provide(TERMINAL, () => new Terminal(streams));
    provide(FOLDER, () => process.cwd());
  };
  return new Scope([nodeModule, command, ...replaced]);
}

/** One call of the command: the terminal, and all that its plugins bring. */
export class Context implements AsyncDisposable {
  readonly terminal: Terminal;
  /** The folder in which the command is called. */
  readonly folder: string;
  /** Plugins that were asked for, as they are written into a file of settings. */
  plugins: readonly string[] = [];
  /** The plugins that come with the command, as far as the call needs them. */
  own: readonly Plugin[] = [];
  /** Families, tasks and preprocessors of the plugins that are loaded. */
  registry!: PluginRegistry;
  /** Opens a model with the plugins that are loaded. */
  openModel!: OpenModel;
  /** The exit code when no error is thrown. */
  exitCode = 0;
  /** Sets the exit code. */
  readonly exitWith = (code: number): void => {
    this.exitCode = code;
  };
  readonly #command: Scope;
  #asked: readonly Plugin[] = [];
  #call: Scope | undefined;

  private constructor(command: Scope, terminal: Terminal, folder: string) {
    this.#command = command;
    this.terminal = terminal;
    this.folder = folder;
  }

  /** A call without plugins. */
  static async of(command: Scope): Promise<Context> {
    return new Context(command, await command.get(TERMINAL), await command.get(FOLDER));
  }

  /**
   * Loads plugins. Those that were asked for go first: their families are asked before the command's own.
   *
   * @throws OnnxLoraError `PLUGIN_INVALID` as loading them does
   */
  async load(asked: readonly AskedPlugin[], own: readonly Plugin[]): Promise<void> {
    this.plugins = asked.map(({ name }) => name);
    this.own = own;
    this.#asked = await loadNamedPlugins(asked, this.folder);
    this.#call = this.#command.open(pluginsModule([...this.#asked, ...own]));
    this.registry = await this.#call.get(REGISTRY);
    this.openModel = await this.#call.get(OPEN_MODEL);
  }

  /** The registry with all plugins that come with the command. */
  async everything(): Promise<PluginRegistry> {
    await using all = this.#command.open(pluginsModule([...this.#asked, ...(await allOwnPlugins())]));
    return await all.get(REGISTRY);
  }

  /** Releases what the call has made. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call?.[Symbol.asyncDispose]();
  }
}
