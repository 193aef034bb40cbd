/** @file Pauses that let other work of the thread run. On a page, `browser/pause.ts` takes this file's place. */

export { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

/** Calls a function again and again, without keeping the process alive, until the returned function is called. */
export function repeat(call: () => void, milliseconds: number): () => void {
  const timer = setInterval(call, milliseconds).unref();
  return () => clearInterval(timer);
}
