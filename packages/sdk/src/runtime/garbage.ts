/** @file Memory that nothing holds any more, given back at once. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Has V8 give back what nothing holds: tensors of a runtime lie outside of its heap, where it sees no need to hurry. */
export function collectGarbage(): void {
  collect ??= exposed();
  collect();
}

/** Node collects garbage when it likes, unless it is told that it may be asked to. */
function exposed(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
