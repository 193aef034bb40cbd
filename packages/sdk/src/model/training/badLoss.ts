/** @file Policies for steps whose loss or gradient is not finite. */

import { OnnxLoraError } from '../../errors.ts';

/** `stop` ends the run, `skip` omits the batch, `backoff` omits it and halves the learning rate from then on. */
export type BadLossPolicy = 'stop' | 'skip' | 'backoff';

/** State of the policy in a checkpoint. */
export interface BadLossState {
  readonly inARow: number;
  readonly factor: number;
}

/** Applies a {@link BadLossPolicy}. */
export class BadLosses {
  readonly #policy: BadLossPolicy;
  readonly #most: number;
  #state: BadLossState;

  /** @param most consecutive bad steps that end the run, whatever the policy */
  constructor(policy: BadLossPolicy, most: number, state: BadLossState = { inARow: 0, factor: 1 }) {
    this.#policy = policy;
    this.#most = most;
    this.#state = state;
  }

  get state(): BadLossState {
    return this.#state;
  }

  good(): void {
    if (this.#state.inARow > 0) this.#state = { ...this.#state, inARow: 0 };
  }

  /**
   * Records a bad step and returns its event's message.
   * @param batch a sentence that names the examples
   * @throws OnnxLoraError `LOSS_NOT_FINITE` if the run must end
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
