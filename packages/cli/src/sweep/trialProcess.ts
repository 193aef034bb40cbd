/** @file A trial that runs in a process of its own, as the sweep sees it. */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrialJob, TrialMessage } from './trialProgram.ts';

/** A trial that runs. */
export interface RunningTrial {
  /** Resolves when its process has ended: with what it said last of all errors, where a signal ended it. */
  readonly ended: Promise<{ readonly signal: string | null; readonly code: number | null; readonly stderr: string }>;
  /** Asks it to end after its step, with all saved. */
  stop(): void;
  /** Ends it at once. */
  kill(): void;
}

/** Starts a trial. */
export type Launch = (job: TrialJob, listen: (message: TrialMessage) => void) => RunningTrial;

/** How much of what a process says of errors is kept. */
const SAID = 2000;

/** The program beside this file, built as it is. */
const program = fileURLToPath(new URL(`./trialProgram${path.extname(import.meta.url)}`, import.meta.url));

/** Starts a trial in a process of its own, which ends by itself where this one dies. */
export const launch: Launch = (job, listen) => {
  const child = spawn(process.execPath, [program], {
    // Of its own group, so that Ctrl-C reaches the sweep alone, which lets it save.
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr!.on('data', (text: Buffer) => (stderr = `${stderr}${text.toString()}`.slice(-SAID)));
  child.on('message', (message) => listen(message as TrialMessage));
  // Not `close`, which never comes where this side has let go of the channel.
  const said = new Promise((resolve) => child.stderr!.on('close', resolve));
  const ended = new Promise<Awaited<RunningTrial['ended']>>((resolve) => {
    child.on('error', (error) => resolve({ signal: null, code: null, stderr: error.message }));
    child.on('exit', (code, signal) => void said.then(() => resolve({ code, signal, stderr })));
  });
  child.send(job, () => undefined);
  return {
    ended,
    stop: () => {
      if (child.connected) child.disconnect();
    },
    kill: () => child.kill('SIGKILL'),
  };
};
