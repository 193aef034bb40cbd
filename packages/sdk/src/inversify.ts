/**
 * @file `@onnx-lora/sdk/inversify`: plugins in a container, for programs that are wired with inversify. Nothing else of the
 * SDK needs it.
 */

import { Container, type ServiceIdentifier } from 'inversify';
import {
  type ContributionKind,
  type Contributions,
  type Plugin,
  contributionKinds,
} from './plugin/registry/definePlugin.ts';
import { type PluginRegistry, loadPlugins, type LoadPluginsOptions } from './plugin/registry/loadPlugins.ts';

/** The key of one kind of contribution: `container.getAll(KIND.tasks)`. */
export const KIND: { readonly [Kind in ContributionKind]: ServiceIdentifier<Contributions[Kind][number]> } =
  Object.fromEntries(contributionKinds.map((kind) => [kind, Symbol.for(`onnx-lora/${kind}`)])) as unknown as {
    readonly [Kind in ContributionKind]: ServiceIdentifier<Contributions[Kind][number]>;
  };

/** The key of all together: `container.get(REGISTRY)`. Declared by its type, so that it does not narrow to `symbol`. */
export const REGISTRY: ServiceIdentifier<PluginRegistry> = Symbol.for('onnx-lora/registry');

/**
 * A container with all that some plugins bring: the registry under {@link REGISTRY}, and each thing of a kind under its
 * {@link KIND}. Bind what is yours beside it.
 *
 * @example
 * const container = createContainer([visionPlugin, cellsPlugin]);
 * const tasks = container.getAll(KIND.tasks);
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` as `loadPlugins` does
 */
export function createContainer(plugins: readonly Plugin[], options?: LoadPluginsOptions): Container {
  const registry = loadPlugins(plugins, options);
  const container = new Container();
  container.bind(REGISTRY).toConstantValue(registry);
  for (const kind of contributionKinds)
    for (const each of registry[kind])
      container.bind(KIND[kind] as ServiceIdentifier<typeof each>).toConstantValue(each);
  return container;
}
