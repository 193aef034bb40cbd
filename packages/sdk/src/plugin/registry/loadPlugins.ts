/** @file Loads plugins into one registry, after checking that they fit together. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { type Token, type TokenList, type Needs, type Resolved, type Binding } from './token.ts';
import { checkContributions, checkPlugin, requireList, requireNoClash } from './pluginChecks.ts';
import { type ContributionKind, contributionKinds, type Contributions, type Plugin } from './definePlugin.ts';
import type { PreprocessorFactory } from '../taskFactory.ts';

/** The contributions of several plugins, in order. */
export interface PluginRegistry extends Contributions {
  /** The plugins. */
  readonly plugins: readonly Plugin[];
  /** Contributions of one of the plugins. */
  readonly broughtBy: (plugin: Plugin) => Contributions;
  /** Resolves tokens. @throws OnnxLoraError `PLUGIN_INVALID` where no plugin provides one */
  readonly provided: <N extends Needs>(needs: N) => Resolved<N>;
}

/** Options of {@link loadPlugins}. */
export interface LoadPluginsOptions {
  /** Bindings that override those of all plugins, such as a custom decoder. */
  readonly bindings?: readonly Binding[];
}

const requireKnown = knownOptions<LoadPluginsOptions>('loadPlugins', { bindings: true });

/**
 * Loads plugins into a registry.
 * @example
 * const registry = loadPlugins([visionPlugin, cellsPlugin]);
 * const model = await openModel('models/cells', { plugins: registry });
 * @throws OnnxLoraError `PLUGIN_INVALID` for a value that is not a plugin, another version of the contract, duplicate
 *   names, and unresolved needs
 */
export function loadPlugins(plugins: readonly Plugin[], options: LoadPluginsOptions = {}): PluginRegistry {
  requireKnown(options);
  const { bindings = [] } = options;
  requireList(plugins);
  plugins.forEach(checkPlugin);
  const distinct = [...new Set(plugins)];
  const container = new Container(distinct, bindings);
  const brought = new Map<Plugin, Contributions>();
  const preprocessors: PreprocessorFactory[] = [];
  const needed = new Map(distinct.map((plugin) => [plugin, container.of(plugin.needs, plugin.name)] as const));
  const ask = (plugin: Plugin, kind: ContributionKind, services: object): readonly object[] =>
    checkContributions(plugin, kind, plugin.parts[kind]?.(services as Record<string, unknown>) ?? []);
  // Tasks may use the preprocessors of all plugins, so those come first.
  const own = new Map(distinct.map((plugin) => [plugin, ask(plugin, 'preprocessors', needed.get(plugin)!)] as const));
  for (const list of own.values()) preprocessors.push(...(list as readonly PreprocessorFactory[]));
  for (const plugin of distinct) {
    const services = { ...needed.get(plugin)!, preprocessors };
    const listOf = (kind: ContributionKind): readonly object[] =>
      kind === 'preprocessors' ? own.get(plugin)! : ask(plugin, kind, services);
    brought.set(plugin, byKind(listOf));
  }
  requireNoClash(brought);
  return {
    plugins: distinct,
    // Contributions that two plugins share are listed once.
    ...byKind((kind) => [...new Set([...brought.values()].flatMap((each): readonly object[] => each[kind]))]),
    broughtBy: (plugin) => brought.get(plugin) ?? byKind(() => []),
    provided: (needs) => container.of(needs, undefined),
  };
}

function byKind(listOf: (kind: ContributionKind) => readonly object[]): Contributions {
  return Object.fromEntries(contributionKinds.map((kind) => [kind, listOf(kind)])) as unknown as Contributions;
}

/** The registry of plugins, or the one given. @throws OnnxLoraError `PLUGIN_INVALID` as `loadPlugins` does */
export function catalogueOf(given: PluginRegistry | readonly Plugin[] = []): PluginRegistry {
  return 'provided' in given ? given : loadPlugins(given);
}

/** Owner of the bindings that `loadPlugins` itself received. */
const PROGRAM = 'the program';

class Container {
  readonly #provisions: readonly { readonly provision: Binding; readonly by: string }[];
  readonly #made = new Map<Binding, unknown>();
  readonly #making: Binding[] = [];

  constructor(plugins: readonly Plugin[], given: readonly Binding[]) {
    const own = plugins.flatMap(({ name, bindings }) => bindings.map((provision) => ({ provision, by: name })));
    const replaced = new Set(given.map(({ token }) => token.name));
    const kept = own.filter(({ provision: { token } }) => token.isList || !replaced.has(token.name));
    this.#provisions = [...given.map((provision) => ({ provision, by: PROGRAM })), ...kept];
    for (const { provision } of this.#provisions) this.#find(provision.token, undefined);
  }

  of<N extends Needs>(needs: N, by: string | undefined): Resolved<N> {
    const found = Object.entries(needs).map(([name, each]) => [
      name,
      each.isList ? this.#all(each) : this.#one(each, by),
    ]);
    return Object.fromEntries(found) as Resolved<N>;
  }

  #all({ name }: TokenList<unknown>): unknown[] {
    return this.#provisions
      .filter(({ provision }) => provision.token.name === name)
      .map(({ provision, by }) => this.#make(provision, by));
  }

  #one(key: Token<unknown>, by: string | undefined): unknown {
    const found = this.#find(key, by);
    return this.#make(found.provision, found.by);
  }

  #find({ name, isList, ...key }: Binding['token'], neededBy: string | undefined) {
    const all = this.#provisions.filter(({ provision }) => provision.token.name === name);
    const firm = all.filter(({ provision }) => !provision.isDefault);
    const [found, second] = firm.length > 0 ? firm : all;
    if (!isList && found && second) {
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Both ${quoted(found.by)} and ${quoted(second.by)} provide "${name}", but only one may. Load one of the two, or choose in code: loadPlugins(plugins, { bindings: [...] }).`,
      );
    }
    if (found) return found;
    const names = this.#provisions.map(({ provision }) => provision.token.name);
    const { usuallyFrom } = key as Token<unknown>;
    const missing =
      neededBy === undefined
        ? `No plugin provides "${name}".`
        : `${neededBy === PROGRAM ? 'A binding of the program' : `The plugin "${neededBy}"`} needs "${name}", which no plugin provides.`;
    const remedy = usuallyFrom === undefined ? 'Load the plugin that does' : `Load "${usuallyFrom}" too`;
    throw new OnnxLoraError('PLUGIN_INVALID', `${missing}${didYouMean(name, names)} ${remedy}.`);
  }

  #make(provision: Binding, by: string): unknown {
    if (this.#made.has(provision)) return this.#made.get(provision);
    if (this.#making.includes(provision)) {
      const path = [...this.#making, provision].map(({ token }) => `"${token.name}"`).join(' needs ');
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Bindings need each other in a circle: ${path}. Their author must take one need out.`,
      );
    }
    this.#making.push(provision);
    try {
      const made = provision.make(this.of(provision.needs, by));
      this.#made.set(provision, made);
      return made;
    } finally {
      this.#making.pop();
    }
  }
}

function quoted(by: string): string {
  return by === PROGRAM ? by : `"${by}"`;
}

/** The registry of no plugins. */
export const noPlugins: PluginRegistry = loadPlugins([]);
