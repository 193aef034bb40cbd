/** @file Runs long interruptible work at once, or in slices of the event loop. */

import { nextTurn } from '../platform/pause.ts';

const TURN_MS = 6;

/** Runs work to its end without interruption. */
export function runSync<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Runs work in time slices of the event loop. Interruptions depend on the clock, so results must not. */
export async function runInSlices<T>(work: Generator<void, T>): Promise<T> {
  let since = performance.now();
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - since < TURN_MS) continue;
    await nextTurn();
    since = performance.now();
  }
}
