/** @file Reports failures: messages and exit codes. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { systemFailure } from '@onnx-lora/sdk/plugin';
import { printable, type Terminal } from './terminal.ts';

export const exitCodes = {
  done: 0,
  /** A bug of ours or a plugin's. */
  bug: 1,
  /** A mistake in the call or a file. */
  mistake: 2,
  /** A run has diverged: everything is written, but the adapter is unusable. */
  diverged: 3,
  /** Stopped by Ctrl-C: 128 + the signal's number. */
  interrupted: 130,
  terminated: 143,
} as const;

/** A mistake in the call. */
export function usageError(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}

interface FailureDetail {
  readonly debug: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** Reports a failure on stderr and returns the exit code. */
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
