/** @file Immediate garbage collection. */

import { garbageCollector } from '../platform/system.ts';

/** A collection takes as long as the whole heap is large: up to a second beside other work. */
const WORTH = 32 * 2 ** 20;

let collect: (() => void) | undefined;

/** Runs V8's garbage collector, which does not see tensors outside its heap. Few `bytes` of garbage are left to V8. */
export function collectGarbage(bytes: number = Infinity): void {
  if (bytes < WORTH) return;
  collect ??= garbageCollector();
  collect();
}
