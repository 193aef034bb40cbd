/** @file From plugins to all that they bring together. What does not fit is an error before anything runs. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import { type Capability, type CapabilityList, type Needs, type Provided, type Provision } from './capability.ts';
import { checkContributions, checkPlugin, requireList, requireNoClash } from './pluginChecks.ts';
import { type ContributionKind, contributionKinds, type Contributions, type Plugin } from './definePlugin.ts';
import type { PreprocessorFactory } from './taskFactory.ts';

/** All that some plugins bring, in their order. */
export interface Catalogue extends Contributions {
  /** The plugins themselves. */
  readonly plugins: readonly Plugin[];
  /** What one of the plugins brings. */
  readonly broughtBy: (plugin: Plugin) => Contributions;
  /**
   * What is behind capabilities.
   *
   * @throws OnnxLoraError `PLUGIN_INVALID` where no plugin provides one
   */
  readonly provided: <N extends Needs>(needs: N) => Provided<N>;
}

/** Options of {@link loadPlugins}. */
export interface LoadPluginsOptions {
  /** Capabilities that go before those of all plugins, such as a decoder of one's own. */
  readonly provides?: readonly Provision[];
}

/**
 * Puts plugins together.
 *
 * @example
 * const catalogue = loadPlugins([visionPlugin, cellsPlugin]);
 * const model = await openModel('models/cells', { plugins: catalogue });
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` for something that is no plugin or was made for another version of the contract, for
 *   two things of one name, and for a capability that is needed and that nobody provides
 */
export function loadPlugins(plugins: readonly Plugin[], { provides = [] }: LoadPluginsOptions = {}): Catalogue {
  requireList(plugins);
  plugins.forEach(checkPlugin);
  const distinct = [...new Set(plugins)];
  const capabilities = new Capabilities(distinct, provides);
  const brought = new Map<Plugin, Contributions>();
  const preprocessors: PreprocessorFactory[] = [];
  const needed = new Map(distinct.map((plugin) => [plugin, capabilities.of(plugin.needs, plugin.name)] as const));
  const ask = <Kind extends ContributionKind>(plugin: Plugin, kind: Kind, services: object): Contributions[Kind] =>
    checkContributions(plugin, kind, plugin.parts[kind]?.(services as Record<string, unknown>) ?? []);
  // Tasks may use the preprocessors of all plugins, so those come first.
  const own = new Map(distinct.map((plugin) => [plugin, ask(plugin, 'preprocessors', needed.get(plugin)!)] as const));
  for (const list of own.values()) preprocessors.push(...list);
  for (const plugin of distinct) {
    const services = { ...needed.get(plugin)!, preprocessors };
    const lists = contributionKinds.map((kind) => [
      kind,
      kind === 'preprocessors' ? own.get(plugin)! : ask(plugin, kind, services),
    ]);
    brought.set(plugin, Object.fromEntries(lists) as unknown as Contributions);
  }
  requireNoClash(brought);
  const all = contributionKinds.map((kind) => [kind, [...brought.values()].flatMap((each) => [...each[kind]])]);
  return {
    plugins: distinct,
    ...(Object.fromEntries(all) as unknown as Contributions),
    broughtBy: (plugin) => brought.get(plugin) ?? nothing,
    provided: (needs) => capabilities.of(needs, undefined),
  };
}

const nothing: Contributions = Object.fromEntries(
  contributionKinds.map((kind) => [kind, []]),
) as unknown as Contributions;

/**
 * Plugins, or what was loaded of them, as a catalogue.
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` as `loadPlugins` does
 */
export function catalogueOf(given: Catalogue | readonly Plugin[] = []): Catalogue {
  return 'provided' in given ? given : loadPlugins(given);
}

/** Who provides what was given to `loadPlugins` itself. */
const PROGRAM = 'the program';

/** Finds and makes capabilities, each once. */
class Capabilities {
  readonly #provisions: readonly { readonly provision: Provision; readonly by: string }[];
  readonly #made = new Map<Provision, unknown>();
  readonly #making: Provision[] = [];

  constructor(plugins: readonly Plugin[], given: readonly Provision[]) {
    const own = plugins.flatMap(({ name, provides }) => provides.map((provision) => ({ provision, by: name })));
    const replaced = new Set(given.map(({ capability }) => capability.name));
    const kept = own.filter(({ provision: { capability } }) => capability.isList || !replaced.has(capability.name));
    this.#provisions = [...given.map((provision) => ({ provision, by: PROGRAM })), ...kept];
    for (const { provision } of this.#provisions) this.#find(provision.capability, undefined);
  }

  of<N extends Needs>(needs: N, by: string | undefined): Provided<N> {
    const found = Object.entries(needs).map(([name, each]) => [
      name,
      each.isList ? this.#all(each) : this.#one(each, by),
    ]);
    return Object.fromEntries(found) as Provided<N>;
  }

  #all({ name }: CapabilityList<unknown>): unknown[] {
    return this.#provisions
      .filter(({ provision }) => provision.capability.name === name)
      .map(({ provision, by }) => this.#make(provision, by));
  }

  #one(key: Capability<unknown>, by: string | undefined): unknown {
    const found = this.#find(key, by);
    return this.#make(found.provision, found.by);
  }

  #find({ name, isList, ...key }: Provision['capability'], neededBy: string | undefined) {
    const all = this.#provisions.filter(({ provision }) => provision.capability.name === name);
    const firm = all.filter(({ provision }) => !provision.isDefault);
    const [found, second] = firm.length > 0 ? firm : all;
    if (!isList && found && second) {
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Both ${quoted(found.by)} and ${quoted(second.by)} provide "${name}", of which there can be one. Load one of the two, or say which in code: loadPlugins(plugins, { provides: [...] }).`,
      );
    }
    if (found) return found;
    const names = this.#provisions.map(({ provision }) => provision.capability.name);
    const { usuallyFrom } = key as Capability<unknown>;
    const missing =
      neededBy === undefined
        ? `No plugin provides "${name}".`
        : `${neededBy === PROGRAM ? 'What the program provides' : `The plugin "${neededBy}"`} needs "${name}", which no plugin provides.`;
    const remedy = usuallyFrom === undefined ? 'Load the plugin that does' : `Load "${usuallyFrom}" too`;
    throw new OnnxLoraError('PLUGIN_INVALID', `${missing}${didYouMean(name, names)} ${remedy}.`);
  }

  #make(provision: Provision, by: string): unknown {
    if (this.#made.has(provision)) return this.#made.get(provision);
    if (this.#making.includes(provision)) {
      const path = [...this.#making, provision].map(({ capability }) => `"${capability.name}"`).join(' needs ');
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Capabilities need each other in a circle: ${path}. Their author must take one need out.`,
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

/** The catalogue of no plugins. */
export const noPlugins: Catalogue = loadPlugins([]);
