/** @file What every command is given: the terminal, and everything that plugins bring. */

import { loadPlugins, type PluginRegistry } from '@onnx-lora/sdk';
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { allOwnPlugins } from './plugins/own.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The surroundings of one call of the command. */
export interface Context {
  readonly terminal: Terminal;
  /** Families, tasks and preprocessors of the plugins that are loaded. `own` stand in the place of {@link Context.own}. */
  readonly registry: (own?: readonly Plugin[]) => PluginRegistry;
  /** The plugins that come with the command, as far as the call needs them. */
  readonly own: () => readonly Plugin[];
  /** Plugins that were asked for, as they are written into a file of settings. */
  readonly plugins: () => readonly string[];
  /** Sets what the process exits with when no error is thrown. */
  readonly exitWith: (code: number) => void;
}

/** All that commands choose from. What was asked for goes first: its families are asked before the command's own. */
export async function loadRegistry(asked: readonly Plugin[] = []): Promise<PluginRegistry> {
  return loadPlugins([...asked, ...(await allOwnPlugins())]);
}
