/** @file Examples of a batch, named in a message. */

import type { Dataset } from '../../plugin/task.ts';

/** How many are named; a batch may hold thousands. */
const MOST = 32;

/** `the examples 3 (photos/a.png) and 17 (photos/b.png)`. */
export function namesOf(dataset: Dataset<unknown>, examples: readonly number[]): string {
  const named = examples.slice(0, MOST).map((index) => {
    const name = dataset.nameOf?.(index);
    return name === undefined ? String(index) : `${index} (${name})`;
  });
  if (examples.length > MOST) named.push(`${examples.length - MOST} more`);
  const last = named.pop()!;
  return named.length === 0 ? `the example ${last}` : `the examples ${named.join(', ')} and ${last}`;
}
