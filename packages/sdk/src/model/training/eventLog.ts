/** @file A run's events, buffered for iterators. */

import type { TrainEvent } from '../../plugin/events.ts';

/** Bounds the memory of a long run without an iterator. */
const MOST_KEPT = 10_000;

/** Keeps the latest events for iterators, which start with the oldest kept. Slow iterators miss the oldest. */
export class EventLog {
  readonly #kept: TrainEvent[] = [];
  /** Number of the first kept event, counted over the run. */
  #first = 0;
  #ended = false;
  #waiting: (() => void)[] = [];

  add(event: TrainEvent): void {
    this.#kept.push(event);
    // In bulk: removing from the front moves all others.
    if (this.#kept.length >= 2 * MOST_KEPT) {
      this.#kept.splice(0, MOST_KEPT);
      this.#first += MOST_KEPT;
    }
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Yields the kept events, then new ones until the run ends. */
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
