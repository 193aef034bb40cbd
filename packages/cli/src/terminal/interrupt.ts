/** @file Ctrl-C: the first asks the work to end well, the second ends the process at once. */

import { exitCodes } from './errors.ts';

/** Signals that ask a process to end, and what it then exits with. */
const signals = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated } as const;

/** Listens for the first signal; from then on the system's own handling is back, which ends the process. */
export class Interrupt {
  #code: number | undefined;
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  /** @param onFirst called once, at the first signal */
  constructor(onFirst: () => void) {
    for (const [signal, code] of Object.entries(signals) as [keyof typeof signals, number][]) {
      const listener = (): void => {
        this.release();
        this.#code = code;
        onFirst();
      };
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  /** What to exit with when a signal came; undefined when none did. */
  get code(): number | undefined {
    return this.#code;
  }

  /** Stops listening. */
  release(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
    this.#listeners.clear();
  }
}

/**
 * Does something when a signal is about to end the process: when nobody else listens for it.
 *
 * @returns what stops listening
 */
export function whenSignalEnds(act: () => void): () => void {
  const listeners = new Map<NodeJS.Signals, () => void>();
  const stop = (): void => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
    listeners.clear();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const listener = (): void => {
      if (process.listenerCount(signal) > 1) return;
      act();
      stop();
      process.kill(process.pid, signal);
    };
    listeners.set(signal, listener);
    process.on(signal, listener);
  }
  return stop;
}
