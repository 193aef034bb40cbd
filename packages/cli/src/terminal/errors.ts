/** @file How a failure ends the command: its message and its exit code. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { systemFailure } from '@onnx-lora/sdk/plugin';
import { printable, type Terminal } from './terminal.ts';

/** What the command exits with. */
export const exitCodes = {
  done: 0,
  /** A bug, ours or a plugin's. */
  bug: 1,
  /** Something in what the user asked for, or in a file. */
  mistake: 2,
  /** A training run has diverged: all is written, and the adapter is of no use. */
  diverged: 3,
  /** Stopped by Ctrl-C, as shells have it: 128 + the signal's number. */
  interrupted: 130,
  /** Stopped by SIGTERM. */
  terminated: 143,
} as const;

/** A mistake in how the command was called. */
export function usageError(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}

/** How much is said about a failure. */
interface FailureDetail {
  /** Show the stack. */
  readonly debug: boolean;
  /** Say no more than what failed. */
  readonly quiet: boolean;
  /** Say it as one JSON value, for programs. */
  readonly json: boolean;
}

/** Says what failed on stderr, and returns the exit code. A stack is shown only when asked for. */
export function reportFailure(given: unknown, terminal: Terminal, { debug, quiet, json }: FailureDetail): number {
  const error = systemFailure(given) ?? given;
  const { red, dim } = terminal.errorColours;
  const isMistake = error instanceof OnnxLoraError;
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const code = isMistake ? error.code : 'INTERNAL';
    const stack = debug && error instanceof Error ? { stack: stackOf(error) } : {};
    terminal.note(JSON.stringify({ error: { code, message, ...(isMistake ? { docs: error.docs } : {}), ...stack } }));
    return isMistake ? exitCodes.mistake : exitCodes.bug;
  }
  if (isMistake) {
    terminal.note(`${red('error:')} ${printable(message)}`);
    if (!quiet) terminal.note(dim(`More: onnx-lora explain ${error.code}`));
  } else {
    terminal.note(`${red('internal error:')} ${printable(message)}`);
    if (!debug)
      terminal.note('This is a bug in onnx-lora or one of its plugins. Run it again with --debug to see where.');
  }
  if (debug && error instanceof Error) terminal.note(dim(stackOf(error)));
  return isMistake ? exitCodes.mistake : exitCodes.bug;
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\nCaused by: ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
