/** @file Events on their way from a run to whoever iterates over it. */

import type { TrainEvent } from '../../plugin/events.ts';

/** How many events wait for an iterator; a night's run would fill the memory otherwise. */
const MOST_KEPT = 10_000;

/**
 * Keeps the latest events and hands them to any number of iterators, each of which begins with the first one kept. An
 * iterator that falls further behind than the log is long misses the oldest.
 */
export class EventLog {
  readonly #kept: TrainEvent[] = [];
  /** Number of the first event kept, counted over the whole run. */
  #first = 0;
  #ended = false;
  #waiting: (() => void)[] = [];

  /** Adds an event. */
  add(event: TrainEvent): void {
    this.#kept.push(event);
    // Not one at a time: taking from the front moves all the others.
    if (this.#kept.length >= 2 * MOST_KEPT) {
      this.#kept.splice(0, MOST_KEPT);
      this.#first += MOST_KEPT;
    }
    this.#wake();
  }

  /** No event comes after this. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Events from the first one kept to the last of the run. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void> {
    for (let next = 0; ;) {
      next = Math.max(next, this.#first);
      const event = this.#kept[next - this.#first];
      if (event) {
        next++;
        yield event;
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
