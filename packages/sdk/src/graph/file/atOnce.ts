/** @file Work that may be interrupted, done without interruption. */

/** The result of work that yields wherever it may be interrupted. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
