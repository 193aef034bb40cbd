/** @file What every command is given. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import type { Terminal } from './terminal.ts';

/** The surroundings of one call of the command. */
export interface Context {
  readonly terminal: Terminal;
  /** Families, tasks and preprocessors; loaded when a command first needs them, so that `--help` is quick. */
  readonly registry: () => PluginRegistry;
  /** Plugins that were asked for, as they are written into a file of settings. */
  readonly plugins: () => readonly string[];
  /** Sets what the process exits with when no error is thrown. */
  readonly exitWith: (code: number) => void;
}
