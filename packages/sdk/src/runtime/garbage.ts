/** @file Immediate garbage collection. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Runs V8's garbage collector: it does not see the size of tensors, which are outside its heap. */
export function collectGarbage(): void {
  collect ??= exposed();
  collect();
}

/** Node exposes the collector only with a flag. */
function exposed(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
