/** @file Keys and modules of the SDK's services in Node. */

import type { Model } from '../model/loaded/model.ts';
import { openModel, type OpenOptions } from '../model/openModel.ts';
import { type ContributionKind, contributionKinds, type Contributions, type Plugin } from '../plugin/registry/definePlugin.ts'; // prettier-ignore
import { loadPlugins, type LoadPluginsOptions, type PluginRegistry } from '../plugin/registry/loadPlugins.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import type { Runtime } from '../runtime/session.ts';
import { WorkerRuntime } from '../runtime/worker/workerRuntime.ts';
import { type Key, key, type ServiceModule } from './scope.ts';

/** Runtimes of graphs. */
export interface Engines {
  /** Runs in this thread. */
  readonly here: Runtime;
  /** Makes a runtime with its own thread: one per model, or per replica of a server. */
  readonly beside: () => Runtime;
}

/** The runtimes; in Node, ONNX Runtime in this thread and in workers. */
export const ENGINES: Key<Engines> = key('engines');

/** The contributions of the loaded plugins. */
export const REGISTRY: Key<PluginRegistry> = key('registry');

/** One kind of contribution: `scope.now(KIND.tasks)`. */
export const KIND: { readonly [Kind in ContributionKind]: Key<Contributions[Kind]> } = Object.fromEntries(
  contributionKinds.map((kind) => [kind, key(kind)]),
) as unknown as { readonly [Kind in ContributionKind]: Key<Contributions[Kind]> };

/** Opens a model with the scope's runtimes and plugins. */
export type OpenModel = (source: string | readonly string[], options?: OpenOptions) => Promise<Model>;

/** `openModel` with the scope's runtimes and plugins, which given options override. */
export const OPEN_MODEL: Key<OpenModel> = key('open-model');

/** The services of Node. */
export const nodeModule: ServiceModule = (provide) => {
  provide(ENGINES, (): Engines => ({ here: new OrtRuntime(), beside: () => new WorkerRuntime() }));
};

/** Services of plugins, and models opened with them. Using them throws what `loadPlugins` throws. */
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
