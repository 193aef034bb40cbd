/** @file A runtime that hands sessions on to the providers of plugins, by their names. */

import type { Runtime } from '../runtime/session.ts';
import type { ProviderFactory } from './contributions.ts';

/** `runtime`, with these providers beside its own; each is made when it is first asked for. */
export function withProviders(runtime: Runtime, providers: readonly ProviderFactory[]): Runtime {
  if (providers.length === 0) return runtime;
  const made = new Map<string, Runtime>();
  return {
    createSession: (source, options = {}) => {
      const { provider, ...others } = options;
      const factory = providers.find(({ name }) => name === provider);
      if (!factory) return runtime.createSession(source, options);
      const own = made.get(factory.name) ?? factory.create();
      made.set(factory.name, own);
      return own.createSession(source, others);
    },
  };
}
