/** @file Detects divergence: losses far above the run's first ones. */

import type { Divergence } from '../../plugin/events.ts';

const WINDOW = 10;
/** The window is at most 1/4 of the run and at least 3 steps; runs below 12 steps are not judged. */
const [SHARE, LEAST] = [4, 3];
/** Rises below this are ignored: losses are nats, or squared errors of standardised values. */
const LEAST_RISE = 0.5;
/** Multiple of the very first loss that counts as divergence, for runs that diverge at once. */
const AT_ONCE = 5;
/** Standard deviations of the first losses that a rise must exceed. */
const DEVIATIONS = 4;

/** State in a checkpoint. */
export interface DivergenceState {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly found?: Divergence | undefined;
}

/**
 * Compares the latest losses with the first. A run has diverged when more than half of the last ten losses (or of the
 * last quarter of a short run's steps) exceed the mean of the first ten by that mean, four standard deviations and 0.5;
 * or exceed five times the first loss (at least 5). A doubled loss over so many steps is not batch noise. A non-finite
 * held-out loss also counts.
 */
export class DivergenceWatch {
  readonly #window: number;
  #state: DivergenceState;

  constructor(steps: number, state: DivergenceState = { first: [], last: [] }) {
    this.#window = Math.max(LEAST, Math.min(WINDOW, Math.floor(steps / SHARE)));
    this.#state = state;
  }

  get state(): DivergenceState {
    return this.#state;
  }

  /** Records a step's loss. Returns the divergence when first detected. */
  step(step: number, loss: number): Divergence | undefined {
    const { first, found } = this.#state;
    if (first.length < this.#window) {
      this.#state = { ...this.#state, first: [...first, loss] };
      return undefined;
    }
    const last = [...this.#state.last, loss].slice(-this.#window);
    const above = last.filter((each) => each > this.#bound).length;
    const shown = found ?? { step, start: first[0]!, loss };
    this.#state = { first, last, found: 2 * above > this.#window ? shown : undefined };
    return found ? undefined : this.#state.found;
  }

  /** Records a held-out loss, if the task has one. Returns the divergence when first detected. */
  measured(step: number, loss: number | undefined): Divergence | undefined {
    const { first, found } = this.#state;
    if (loss === undefined || Number.isFinite(loss) || found) return undefined;
    const shown = { step, start: first[0] ?? NaN, loss: NaN };
    this.#state = { ...this.#state, found: shown };
    return shown;
  }

  get #bound(): number {
    const { first } = this.#state;
    const mean = meanOf(first);
    const deviation = Math.sqrt(meanOf(first.map((loss) => (loss - mean) ** 2)));
    const bound = mean + Math.max(Math.abs(mean), DEVIATIONS * deviation, LEAST_RISE);
    return Math.min(bound, AT_ONCE * Math.max(first[0]!, 1));
  }
}

/** The warning for the user. */
export function divergedMessage({ step, start, loss }: Divergence, lr: number): string {
  const rate = Number((lr / 10).toPrecision(2));
  return `The run has diverged: after step ${step} the loss is ${short(loss)}, and it began at ${short(start)}. Train again with a lower learning rate, such as a tenth of it (${rate}).`;
}

function short(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : 'no finite number';
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
