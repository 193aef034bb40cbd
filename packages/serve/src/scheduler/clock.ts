/** @file The scheduler's clock, replaceable in tests. */

/** A clock. */
export interface Clock {
  /** Milliseconds since a fixed moment. */
  now(): number;
  /** Calls back after a delay; with 0, after pending input is read. @returns cancels it */
  after(milliseconds: number, then: () => void): () => void;
}

/** Maximum of `setTimeout`. */
const LONGEST = 2 ** 31 - 1;

/** The system's clock. Its timers do not keep a program alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, then) {
    if (milliseconds <= 0) {
      const soon = setImmediate(then);
      return () => clearImmediate(soon);
    }
    // Longer delays never fire.
    if (milliseconds > LONGEST) return () => undefined;
    const later = setTimeout(then, milliseconds).unref();
    return () => clearTimeout(later);
  },
};
