/** @file Which names a loss reads that are not there. */

import type { Value } from '../../graph/builder.ts';

type Named = Readonly<Record<string, Value>>;

/**
 * The same values, and a note of each name that is read and is not there.
 *
 * @param missed gets `the output "logit"`, as a message has it
 */
export function watchedNames(kind: 'output' | 'target', values: Named, missed: string[]): Named {
  return new Proxy(values, {
    get: (all, name: string | symbol) => {
      if (typeof name === 'string' && !(name in all)) missed.push(`the ${kind} "${name}"`);
      return Reflect.get(all, name) as Value;
    },
  });
}

/** `a, b`, or `none`. */
export function namesIn(values: Readonly<Record<string, unknown>>): string {
  return Object.keys(values).join(', ') || 'none';
}
