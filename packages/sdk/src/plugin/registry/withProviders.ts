/** @file A runtime with the execution providers of plugins. */

import { noSuchProvider, providerNames } from '../../runtime/providers/providers.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { ProviderFactory } from './contributions.ts';

/** Runtimes of providers, shared by all models: one may hold a connection or a device. */
const made = new WeakMap<ProviderFactory, Runtime>();

/** `runtime` with further providers, each made on first use. */
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
