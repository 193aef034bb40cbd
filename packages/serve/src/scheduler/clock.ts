/** @file The time, as the scheduler is told it, so that tests can be exact about it. */

/** Tells the time and wakes. */
export interface Clock {
  /** Milliseconds since some moment that stays the same. */
  now(): number;
  /**
   * Calls back after so many milliseconds; after 0 of them when the program has read what has come meanwhile.
   *
   * @returns takes it back
   */
  after(milliseconds: number, then: () => void): () => void;
}

/** What `setTimeout` can count to. */
const LONGEST = 2 ** 31 - 1;

/** The machine's clock. What waits by it keeps no program from ending. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, then) {
    if (milliseconds <= 0) {
      const soon = setImmediate(then);
      return () => clearImmediate(soon);
    }
    // What is further away than that is not waited for.
    if (milliseconds > LONGEST) return () => undefined;
    const later = setTimeout(then, milliseconds).unref();
    return () => clearTimeout(later);
  },
};
