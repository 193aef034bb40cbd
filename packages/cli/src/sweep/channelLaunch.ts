/** @file Launches trials as tasks of a cluster, by the driver at the other end of this process's channel. */

import path from 'node:path';
import type { Resources } from '../settings/sweep.ts';
import type { Launch, RunningTrial } from './trialProcess.ts';
import type { TrialMessage } from './trialProgram.ts';

/** Set by the driver (`onnx_lora_cluster/sweep.py`) where trials are its tasks. */
export const hasChannel: boolean = process.connected && process.env['ONNX_LORA_TRIALS'] === 'channel';

type Ended = Awaited<RunningTrial['ended']>;

/** The driver's messages. */
type FromDriver =
  | { readonly id: number; readonly type: 'message'; readonly message: TrialMessage }
  | { readonly id: number; readonly type: 'ended'; readonly ended: Ended };

interface Listening {
  readonly listen: (message: TrialMessage) => void;
  readonly end: (ended: Ended) => void;
}

/** Trials of a cluster. */
export class TrialChannel {
  readonly #resources: Resources;
  readonly #running = new Map<number, Listening>();
  #count = 0;

  /** @param resources what each trial asks for */
  constructor(resources: Resources) {
    this.#resources = resources;
    process.on('message', this.#hear);
    process.on('disconnect', this.#lost);
  }

  readonly launch: Launch = (job, listen) => {
    const id = this.#count++;
    const ended = new Promise<Ended>((end) => this.#running.set(id, { listen, end }));
    const name = `trial ${path.basename(job.settings.out)}`;
    process.send!({ id, type: 'launch', name, job, resources: this.#resources });
    const tell = (type: 'stop' | 'kill'): void => {
      if (process.connected && this.#running.has(id)) process.send!({ id, type });
    };
    return { ended, stop: () => tell('stop'), kill: () => tell('kill') };
  };

  /** Lets the process end. */
  close(): void {
    process.off('message', this.#hear);
    process.off('disconnect', this.#lost);
    if (process.connected) process.disconnect();
  }

  readonly #hear = (message: unknown): void => {
    const told = message as FromDriver;
    const found = this.#running.get(told.id);
    if (told.type === 'message') return found?.listen(told.message);
    this.#running.delete(told.id);
    found?.end(told.ended);
  };

  /** Without its driver, the sweep stops as by a signal; the same command continues it. */
  readonly #lost = (): void => {
    for (const { end } of this.#running.values()) end({ signal: null, code: null, stderr: 'The driver has ended.' });
    this.#running.clear();
    process.kill(process.pid, 'SIGTERM');
  };
}
