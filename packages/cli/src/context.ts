/** @file What every command is given: the terminal, and everything that plugins bring. */

import { loadPlugins, type PluginRegistry } from '@onnx-lora/sdk';
import type { Terminal } from './terminal/terminal.ts';
import { buildPlugin } from '@onnx-lora/build';
import { methodsPlugin } from '@onnx-lora/methods';
import { sciencePlugin } from '@onnx-lora/science';
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { speechPlugin } from '@onnx-lora/speech';
import { textPlugin } from '@onnx-lora/text';
import { visionPlugin } from '@onnx-lora/vision';

/** The surroundings of one call of the command. */
export interface Context {
  readonly terminal: Terminal;
  /**
   * Families, tasks and preprocessors; loaded when a command first needs them, so that `--help` is quick. `own` stand in the
   * place of {@link ownPlugins}.
   */
  readonly registry: (own?: readonly Plugin[]) => PluginRegistry;
  /** Plugins that were asked for, as they are written into a file of settings. */
  readonly plugins: () => readonly string[];
  /** Sets what the process exits with when no error is thrown. */
  readonly exitWith: (code: number) => void;
}

/** The plugins that come with the command. */
export const ownPlugins: readonly Plugin[] = [
  visionPlugin,
  speechPlugin,
  sciencePlugin,
  textPlugin,
  methodsPlugin,
  buildPlugin,
];

/** What the commands choose from. What was asked for goes first: its families are asked before the command's own. */
export function loadRegistry(asked: readonly Plugin[] = [], own: readonly Plugin[] = ownPlugins): PluginRegistry {
  return loadPlugins([...asked, ...own]);
}
