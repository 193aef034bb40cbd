/** @file The command's composition root, and the context that every command receives. */

import type { ChannelExchange } from '@onnx-lora/cluster';
import type { PluginRegistry } from '@onnx-lora/sdk';
import { type Key, key, nodeModule, OPEN_MODEL, type OpenModel, pluginsModule, REGISTRY, Scope, type ServiceModule } from '@onnx-lora/sdk/composition'; // prettier-ignore
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { type RequestedPlugin, loadNamedPlugins } from './plugins/loadNamed.ts';
import { allBuiltinPlugins } from './plugins/own.ts';
import { type Streams, Terminal } from './terminal/terminal.ts';

const TERMINAL: Key<Terminal> = key('terminal');

/** The working folder of the call. */
export const FOLDER: Key<string> = key('folder');

/**
 * The services of the command on Node.
 * @param replaced modules that override services, such as `(provide) => provide(FOLDER, () => '/tmp')`
 */
export function commandScope(streams: Streams, ...replaced: readonly ServiceModule[]): Scope {
  const command: ServiceModule = (provide) => {
    provide(TERMINAL, () => new Terminal(streams));
    provide(FOLDER, () => process.cwd());
    provide(PART, () => undefined);
  };
  return new Scope([nodeModule, command, ...replaced]);
}

/** The part of this process in a training on several machines, if it has one. */
export const PART: Key<ChannelExchange | undefined> = key('part');

/** One call of the command: its terminal and its plugins. */
export class Context implements AsyncDisposable {
  readonly terminal: Terminal;
  readonly folder: string;
  readonly part: ChannelExchange | undefined;
  /** The arguments of the call. */
  argv: readonly string[] = [];
  /** Requested plugins, as the config file names them. */
  plugins: readonly string[] = [];
  /** Built-in plugins that the call needs. */
  own: readonly Plugin[] = [];
  /** Families, tasks, preprocessors and other parts of the loaded plugins. */
  registry!: PluginRegistry;
  openModel!: OpenModel;
  /** The exit code when no error is thrown. */
  exitCode = 0;
  readonly exitWith = (code: number): void => {
    this.exitCode = code;
  };
  readonly #command: Scope;
  #asked: readonly Plugin[] = [];
  #call: Scope | undefined;

  private constructor(command: Scope, services: Pick<Context, 'terminal' | 'folder' | 'part'>) {
    this.#command = command;
    this.terminal = services.terminal;
    this.folder = services.folder;
    this.part = services.part;
  }

  /** A call without plugins. */
  static async of(command: Scope): Promise<Context> {
    const [terminal, folder, part] = [await command.get(TERMINAL), await command.get(FOLDER), await command.get(PART)];
    return new Context(command, { terminal, folder, part });
  }

  /** Loads plugins; families of requested ones are tried first. @throws OnnxLoraError `PLUGIN_INVALID` */
  async load(asked: readonly RequestedPlugin[], own: readonly Plugin[]): Promise<void> {
    this.plugins = asked.map(({ name }) => name);
    this.own = own;
    this.#asked = await loadNamedPlugins(asked, this.folder);
    this.#call = this.#command.open(pluginsModule([...this.#asked, ...own]));
    this.registry = await this.#call.get(REGISTRY);
    this.openModel = await this.#call.get(OPEN_MODEL);
  }

  /** The registry with all built-in plugins. */
  async everything(): Promise<PluginRegistry> {
    await using all = this.#command.open(pluginsModule([...this.#asked, ...(await allBuiltinPlugins())]));
    return await all.get(REGISTRY);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call?.[Symbol.asyncDispose]();
  }
}
