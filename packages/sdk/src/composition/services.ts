/** @file Services of the SDK, and what stands behind them in Node. */

import type { Model } from '../model/loaded/model.ts';
import { openModel, type OpenOptions } from '../model/openModel.ts';
import { type ContributionKind, contributionKinds, type Contributions, type Plugin } from '../plugin/registry/definePlugin.ts'; // prettier-ignore
import { loadPlugins, type LoadPluginsOptions, type PluginRegistry } from '../plugin/registry/loadPlugins.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import type { Runtime } from '../runtime/session.ts';
import { WorkerRuntime } from '../runtime/worker/workerRuntime.ts';
import { type Key, key, type ServiceModule } from './scope.ts';

/** What runs graphs. */
export interface Engines {
  /** In this thread. */
  readonly here: Runtime;
  /** Makes one that leaves this thread free: one for each model, and for each replica of a server. */
  readonly beside: () => Runtime;
}

/** The engines; in Node ONNX Runtime, in this thread and in workers. */
export const ENGINES: Key<Engines> = key('engines');

/** All that the loaded plugins bring. */
export const REGISTRY: Key<PluginRegistry> = key('registry');

/** One kind of what the loaded plugins bring: `scope.now(KIND.tasks)`. */
export const KIND: { readonly [Kind in ContributionKind]: Key<Contributions[Kind]> } = Object.fromEntries(
  contributionKinds.map((kind) => [kind, key(kind)]),
) as unknown as { readonly [Kind in ContributionKind]: Key<Contributions[Kind]> };

/** Opens a model with the engines and plugins of its scope. */
export type OpenModel = (source: string | readonly string[], options?: OpenOptions) => Promise<Model>;

/** `openModel` with the engines and plugins of its scope; options that are given count before those. */
export const OPEN_MODEL: Key<OpenModel> = key('open-model');

/** What Node has by itself. */
export const nodeModule: ServiceModule = (provide) => {
  provide(ENGINES, (): Engines => ({ here: new OrtRuntime(), beside: () => new WorkerRuntime() }));
};

/**
 * What some plugins bring, and models opened with them.
 *
 * @throws OnnxLoraError `PLUGIN_INVALID`, when any of it is first needed, as `loadPlugins` does
 */
export function pluginsModule(plugins: readonly Plugin[], options?: LoadPluginsOptions): ServiceModule {
  return (provide) => {
    provide(REGISTRY, () => loadPlugins(plugins, options));
    for (const kind of contributionKinds) provide<object, [PluginRegistry]>(KIND[kind], (registry) => registry[kind], [REGISTRY]); // prettier-ignore
    provide(
      OPEN_MODEL,
      (engines: Engines, registry: PluginRegistry): OpenModel =>
        (source, own) =>
          openModel(source, { runtime: engines.here, workerRuntime: engines.beside(), plugins: registry, ...own }),
      [ENGINES, REGISTRY],
    );
  };
}
