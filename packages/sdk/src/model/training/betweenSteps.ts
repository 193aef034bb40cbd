/** @file Requests that a run answers between steps: pauses and provider reports. */

import { OnnxLoraError } from '../../errors.ts';
import type { ProviderReport } from '../../runtime/session.ts';

/** Pending requests for provider reports. */
export class ProviderReports {
  #asked: { resolve: (report: Promise<ProviderReport>) => void; reject: (error: Error) => void }[] = [];
  #hasEnded = false;

  /** @throws OnnxLoraError `CANCELLED` after the end of the run */
  ask(): Promise<ProviderReport> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
      if (this.#hasEnded) this.end();
    });
  }

  /** Answers all pending requests with one report. */
  async answer(report: () => Promise<ProviderReport>): Promise<void> {
    if (this.#asked.length === 0) return;
    const made = report();
    for (const { resolve } of this.#asked.splice(0)) resolve(made);
    await made.catch(noop);
  }

  end(): void {
    this.#hasEnded = true;
    const why = 'The run has ended, so there is no provider to report. Ask before its last step.';
    for (const { reject } of this.#asked.splice(0)) reject(new OnnxLoraError('CANCELLED', why));
  }
}

/** A pause: requested, reached, over. */
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

  /** Marks the pause as reached. The timer keeps the process alive. */
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
