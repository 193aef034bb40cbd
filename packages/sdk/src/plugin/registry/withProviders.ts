/** @file A runtime that hands sessions on to the providers of plugins, by their names. */

import { noSuchProvider, providerNames } from '../../runtime/providers/providers.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { ProviderFactory } from './contributions.ts';

/** What was made, once for all models: a provider may hold a connection, or a device. */
const made = new WeakMap<ProviderFactory, Runtime>();

/** `runtime`, with these providers beside its own; each is made when it is first asked for. */
export function withProviders(runtime: Runtime, providers: readonly ProviderFactory[]): Runtime {
  if (providers.length === 0) return runtime;
  return {
    createSession: async (source, options = {}) => {
      const { provider, ...others } = options;
      const factory = providers.find(({ name }) => name === provider);
      if (!factory) {
        if (provider === undefined || providerNames.includes(provider)) return runtime.createSession(source, options);
        throw noSuchProvider(
          provider,
          providers.map(({ name }) => name),
        );
      }
      const own = made.get(factory) ?? factory.create();
      made.set(factory, own);
      return own.createSession(source, others);
    },
  };
}
