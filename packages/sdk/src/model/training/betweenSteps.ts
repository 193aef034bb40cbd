/** @file What a run is asked for between two of its steps: to hold, and to tell where it computes. */

import { OnnxLoraError } from '../../errors.ts';
import type { ProviderReport } from '../../runtime/session.ts';

/** Reports of the provider that are waited for. */
export class ProviderReports {
  #asked: { resolve: (report: Promise<ProviderReport>) => void; reject: (error: Error) => void }[] = [];
  #hasEnded = false;

  /** @throws OnnxLoraError `CANCELLED` when the run has ended */
  ask(): Promise<ProviderReport> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
      if (this.#hasEnded) this.end();
    });
  }

  /** Makes one report for all who wait. */
  async answer(report: () => Promise<ProviderReport>): Promise<void> {
    if (this.#asked.length === 0) return;
    const made = report();
    for (const { resolve } of this.#asked.splice(0)) resolve(made);
    await made.catch(noop);
  }

  /** The run has ended. */
  end(): void {
    this.#hasEnded = true;
    const why = 'The run has ended, so there is no provider to report. Ask before its last step.';
    for (const { reject } of this.#asked.splice(0)) reject(new OnnxLoraError('CANCELLED', why));
  }
}

/** One pause: asked for, reached, over. */
export class PauseState {
  readonly reached: Promise<void>;
  readonly over: Promise<void>;
  #reach: () => void = noop;
  #finish: () => void = noop;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.reached = new Promise((resolve) => (this.#reach = resolve));
    this.over = new Promise((resolve) => (this.#finish = resolve));
  }

  /** The run holds. A timer keeps the process alive, which would otherwise end where nothing else happens in it. */
  arrived(): void {
    this.#timer = setInterval(noop, 2 ** 30);
    this.#reach();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#finish();
  }
}

function noop(): void {}
