/** @file What becomes of a step whose loss or gradient is no finite number. */

import { OnnxLoraError } from '../../errors.ts';

/**
 * `stop` ends the run with an error; `skip` leaves the batch out; `backoff` leaves it out and halves the learning rate
 * from then on.
 */
export type BadLossPolicy = 'stop' | 'skip' | 'backoff';

/** Where the policy stands, as a checkpoint keeps it. */
export interface BadLossState {
  /** Skipped steps up to the last one. */
  readonly inARow: number;
  /** What the learning rate is multiplied with. */
  readonly factor: number;
}

/** Decides on bad steps. */
export class BadLosses {
  readonly #policy: BadLossPolicy;
  readonly #most: number;
  #state: BadLossState;

  /**
   * @param most so many bad steps in a row end the run, whatever the policy
   * @param state where the run stands that goes on
   */
  constructor(policy: BadLossPolicy, most: number, state: BadLossState = { inARow: 0, factor: 1 }) {
    this.#policy = policy;
    this.#most = most;
    this.#state = state;
  }

  /** Where it stands. */
  get state(): BadLossState {
    return this.#state;
  }

  /** A step was good. */
  good(): void {
    if (this.#state.inARow > 0) this.#state = { ...this.#state, inARow: 0 };
  }

  /**
   * A step was bad.
   *
   * @param error says of which kind
   * @param batch says which examples it was, as a sentence
   * @returns what the event tells
   * @throws OnnxLoraError `LOSS_NOT_FINITE` when the run shall end
   */
  bad(error: OnnxLoraError, batch: string): string {
    const inARow = this.#state.inARow + 1;
    if (this.#policy === 'stop') throw new OnnxLoraError(error.code, `${error.message} ${batch}`, { cause: error });
    if (inARow >= this.#most) {
      throw new OnnxLoraError(
        error.code,
        `${error.message} It was so for ${inARow} steps in a row, as many as maxBadLosses allows. ${batch}`,
        { cause: error },
      );
    }
    const factor = this.#policy === 'backoff' ? this.#state.factor / 2 : this.#state.factor;
    this.#state = { inARow, factor };
    const lowered = this.#policy === 'backoff' ? ` The learning rate is now ${factor} of what it was to be.` : '';
    return `${error.message} ${batch}${lowered}`;
  }
}
