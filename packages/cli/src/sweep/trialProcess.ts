/** @file Runs a trial in a child process. */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrialJob, TrialMessage } from './trialProgram.ts';

export interface RunningTrial {
  /** Resolves when its process has ended, with its last stderr output. */
  readonly ended: Promise<{ readonly signal: string | null; readonly code: number | null; readonly stderr: string }>;
  /** Asks it to save and end after its step. */
  stop(): void;
  kill(): void;
}

export type Launch = (job: TrialJob, listen: (message: TrialMessage) => void) => RunningTrial;

/** Characters of stderr that are kept. */
const SAID = 2000;

const program = fileURLToPath(new URL(`./trialProgram${path.extname(import.meta.url)}`, import.meta.url));

/** Starts a trial in a child process, which ends by itself when this one dies. */
export const launch: Launch = (job, listen) => {
  const child = spawn(process.execPath, [program], {
    // Detached, so that Ctrl-C reaches only the sweep, which lets trials save.
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr!.on('data', (text: Buffer) => (stderr = `${stderr}${text.toString()}`.slice(-SAID)));
  child.on('message', (message) => listen(message as TrialMessage));
  // Not `close`, which never comes after disconnecting.
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
