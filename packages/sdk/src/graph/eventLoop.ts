/** @file Long work that yields wherever it may be interrupted: done at once, or in short turns of the event loop. */

/** How long work may hold the thread before others get their turn, in milliseconds. */
const TURN_MS = 6;

/** Does work to its end without interruption. */
export function uninterrupted<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * Does work to its end, and lets the event loop turn whenever the work has held the thread for some milliseconds. Where it is
 * interrupted depends on the clock, so nothing that it computes may.
 */
export async function yielding<T>(work: Generator<void, T>): Promise<T> {
  let since = performance.now();
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - since < TURN_MS) continue;
    await new Promise<void>((resolve) => setImmediate(resolve));
    since = performance.now();
  }
}
