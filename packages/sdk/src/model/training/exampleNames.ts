/** @file Examples of a batch, named in a message. */

import type { Dataset } from '../../plugin/dataset.ts';

/** How many are named; a batch may hold thousands, and each name is a path. */
const MOST = 4;

/** `the examples 3 (photos/a.png) and 17 (photos/b.png)`, or three of them and how many more. */
export function namesOf(dataset: Dataset<unknown>, examples: readonly number[]): string {
  const named = examples.slice(0, examples.length > MOST ? MOST - 1 : MOST).map((index) => {
    const name = dataset.nameOf?.(index);
    return name === undefined ? String(index) : `${index} (${name})`;
  });
  if (examples.length > MOST) named.push(`${examples.length - MOST + 1} more`);
  const last = named.pop()!;
  return named.length === 0 ? `the example ${last}` : `the examples ${named.join(', ')} and ${last}`;
}
