/** @file Whether a run has diverged: its loss lies far above where it began, step after step. */

import type { Divergence } from '../../plugin/events.ts';

/** Steps whose losses are compared, at most. */
const WINDOW = 10;
/** A window is at most a quarter of a run, and three steps: of a run of fewer than twelve nothing is said. */
const [SHARE, LEAST] = [4, 3];
/** A rise below this is none: losses are nats, or squared errors of values that are scaled to a deviation of 1. */
const LEAST_RISE = 0.5;
/** A run that diverges at once is told by its first loss, beyond this many times of it: its first losses are no measure. */
const AT_ONCE = 5;
/** Standard deviations of the first losses that a rise must exceed. */
const DEVIATIONS = 4;

/** Where it stands, as a checkpoint keeps it. */
export interface DivergenceState {
  /** Losses of the first steps. */
  readonly first: readonly number[];
  /** Losses of the last steps. */
  readonly last: readonly number[];
  /** Where the run has diverged; absent while it has not, and once its loss is down again. */
  readonly found?: Divergence | undefined;
}

/**
 * Compares the losses of a run with those that it began with. It has diverged when more than half of the last ten losses (of a
 * short run: of a quarter of its steps) exceed the mean of the first ten by more than that mean itself, four standard deviations of the first
 * losses, and 0.5; or when they exceed five times the very first, or 5 where that is more. A loss that is doubled over so many steps is no noise of the batches. A held-out loss that is no finite number counts
 * as well.
 */
export class DivergenceWatch {
  readonly #window: number;
  #state: DivergenceState;

  /**
   * @param steps how many the run makes
   * @param state where the run stands that goes on
   */
  constructor(steps: number, state: DivergenceState = { first: [], last: [] }) {
    this.#window = Math.max(LEAST, Math.min(WINDOW, Math.floor(steps / SHARE)));
    this.#state = state;
  }

  /** Where it stands. */
  get state(): DivergenceState {
    return this.#state;
  }

  /**
   * A step was made.
   *
   * @returns the divergence where this step shows it first
   */
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

  /**
   * Held-out examples were measured after a step.
   *
   * @param loss undefined where the task measures none
   * @returns the divergence where this measurement shows it first
   */
  measured(step: number, loss: number | undefined): Divergence | undefined {
    const { first, found } = this.#state;
    if (loss === undefined || Number.isFinite(loss) || found) return undefined;
    const shown = { step, start: first[0] ?? NaN, loss: NaN };
    this.#state = { ...this.#state, found: shown };
    return shown;
  }

  /** The highest loss of a run that has not diverged. */
  get #bound(): number {
    const { first } = this.#state;
    const mean = meanOf(first);
    const deviation = Math.sqrt(meanOf(first.map((loss) => (loss - mean) ** 2)));
    const bound = mean + Math.max(Math.abs(mean), DEVIATIONS * deviation, LEAST_RISE);
    return Math.min(bound, AT_ONCE * Math.max(first[0]!, 1));
  }
}

/** What the user is told of it. */
export function divergedMessage({ step, start, loss }: Divergence, lr: number): string {
  const rate = Number((lr / 10).toPrecision(2));
  return `The run has diverged: after step ${step} the loss is ${short(loss)}, and it began at ${short(start)}. Train anew with a lower learning rate, such as a tenth of it (${rate}).`;
}

function short(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : 'no finite number';
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
