/** @file Immediate garbage collection. */

import { arrayBytes, garbageCollector } from '../platform/system.ts';

/** A collection takes as long as the whole heap is large: up to a second beside other work. */
const WORTH = 24 * 2 ** 20;

/** Arrays that are worth a collection of the youngest, which takes about a millisecond. */
const ARRAYS_WORTH = 4 * 2 ** 20;

let collect: ReturnType<typeof garbageCollector> | undefined;
/** The least bytes of arrays since the last collection of the youngest. */
let arrays = Infinity;

/** Runs V8's garbage collector, which does not see tensors outside its heap. Few `bytes` of garbage are left to V8. */
export function collectGarbage(bytes: number = Infinity): void {
  if (bytes < WORTH) return;
  collect ??= garbageCollector();
  collect();
}

/** Frees arrays of the last steps, such as batches and gradients: V8 alone leaves up to 64 MB of them. */
export function collectArrays(): void {
  const now = arrayBytes();
  arrays = Math.min(arrays, now);
  if (now - arrays < ARRAYS_WORTH) return;
  collect ??= garbageCollector();
  collect({ type: 'minor' });
  arrays = arrayBytes();
}
