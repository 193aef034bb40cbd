/** @file Ctrl-C: the first stops gracefully, the second ends the process. */

import { exitCodes } from './errors.ts';

const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated } as const;

/** @returns what stops listening */
function listen<Name extends NodeJS.Signals>(names: readonly Name[], hear: (signal: Name) => void): () => void {
  const listeners = names.map((name) => [name, () => hear(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}

/** Listens for the first signal; the next one ends the process as usual. */
export class Interrupt {
  #code: number | undefined;
  readonly #stop: () => void;

  /** @param onFirst called once, at the first signal */
  constructor(onFirst: () => void) {
    this.#stop = listen(Object.keys(codes) as (keyof typeof codes)[], (signal) => {
      this.release();
      this.#code = codes[signal];
      onFirst();
    });
  }

  /** The exit code after a signal; undefined without one. */
  get code(): number | undefined {
    return this.#code;
  }

  release(): void {
    this.#stop();
  }
}

/** Acts when a signal is about to end the process because nobody else listens for it. @returns what stops listening */
export function whenSignalEnds(act: () => void): () => void {
  const stop = listen(['SIGINT', 'SIGTERM', 'SIGHUP'], (signal) => {
    if (process.listenerCount(signal) > 1) return;
    act();
    stop();
    process.kill(process.pid, signal);
  });
  return stop;
}
