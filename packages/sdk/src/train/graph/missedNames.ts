/** @file Detects names that a loss reads but that do not exist. */

import type { Value } from '../../graph/builder.ts';

type Named = Readonly<Record<string, Value>>;

/** The same values; names that are read but missing are added to `missed`, as `the output "logit"`. */
export function watchedNames(kind: 'output' | 'target', values: Named, missed: string[]): Named {
  return new Proxy(values, {
    get: (all, name: string | symbol) => {
      if (typeof name === 'string' && !(name in all)) missed.push(`the ${kind} "${name}"`);
      return Reflect.get(all, name) as Value;
    },
  });
}

export function namesIn(values: Readonly<Record<string, unknown>>): string {
  return Object.keys(values).join(', ') || 'none';
}
