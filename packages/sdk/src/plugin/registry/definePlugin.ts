/** @file `definePlugin`: all contributions of a package in one typed object. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Needs, Resolved, Binding } from './token.ts';
import type {
  DatasetFactory,
  InitializerFactory,
  ModelBuilder,
  OperatorRule,
  OptimizerFactory,
  ProviderFactory,
  SectionFactory,
  TrackerFactory,
} from './contributions.ts';
import { LN_TUNING, LORA, NORM_TUNER } from '../../adapter/formats/peftConfig.ts';
import { initializerNames } from '../../lora/init/named.ts';
import { withoutUndefined } from '../withoutUndefined.ts';
import type { Tuner } from '../../lora/tuner.ts';
import { providerNames } from '../../runtime/providers/providers.ts';
import { optimizerNames } from '../../train/optimizers/named.ts';
import type { ModelFamily } from '../families/family.ts';
import type { PreprocessorFactory, TaskFactory } from '../taskFactory.ts';

/** Version of the plugin contract. A plugin carries the version of the SDK that made it. */
export const PLUGIN_CONTRACT = 2;

/** The contributions of plugins, a list per kind. */
export interface Contributions {
  /** Model families. */
  readonly families: readonly ModelFamily[];
  /** Preprocessors of files. */
  readonly preprocessors: readonly PreprocessorFactory[];
  /** Tasks. */
  readonly tasks: readonly TaskFactory[];
  /** Named datasets. */
  readonly datasets: readonly DatasetFactory[];
  /** Initialisations of adapters. */
  readonly initializers: readonly InitializerFactory[];
  /** Adapter methods other than LoRA. */
  readonly tuners: readonly Tuner[];
  /** Optimizers. */
  readonly optimizers: readonly OptimizerFactory[];
  /** Gradients and shape inference of further operators. */
  readonly operators: readonly OperatorRule[];
  /** Builders of graphs from folders without .onnx files. */
  readonly builders: readonly ModelBuilder[];
  /** Execution providers. */
  readonly providers: readonly ProviderFactory[];
  /** Trackers of training runs. */
  readonly trackers: readonly TrackerFactory[];
  /** Report sections for every task. */
  readonly sections: readonly SectionFactory[];
}

/** A kind of contribution. */
export type ContributionKind = keyof Contributions;

/** Arguments of a plugin's functions: its needs, and the preprocessors of all plugins, in order. */
export type Services<N extends Needs> = Resolved<N> & { readonly preprocessors: readonly PreprocessorFactory[] };

type Parts<N extends Needs> = {
  readonly [Kind in ContributionKind]?:
    Contributions[Kind] | ((services: Kind extends 'preprocessors' ? Resolved<N> : Services<N>) => Contributions[Kind]);
};

/** A plugin, made by {@link definePlugin}. */
export interface Plugin {
  /** The package's name, such as `@acme/onnx-lora-cells`. */
  readonly name: string;
  /** The package's version. */
  readonly version?: string;
  /** One line for `onnx-lora plugins`. */
  readonly description?: string;
  /** {@link PLUGIN_CONTRACT} of the SDK that made it. */
  readonly contract: number;
  /** Implementations that it provides to itself and to other plugins. */
  readonly bindings: readonly Binding[];
  /** Tokens of other plugins that it requires. */
  readonly needs: Needs;
  /** Functions that make each list from the plugin's needs. */
  readonly parts: {
    readonly [Kind in ContributionKind]?: (services: Readonly<Record<string, unknown>>) => Contributions[Kind];
  };
}

/** Input of {@link definePlugin}. */
export interface PluginDefinition<N extends Needs>
  extends Parts<N>, Pick<Plugin, 'name' | 'version' | 'description'>, Partial<Pick<Plugin, 'bindings'>> {
  /** Tokens that it requires, its own or others', by argument name of its functions. */
  readonly needs?: N;
}

/** Type of a field; `list` is an array. */
export type FieldType = 'string' | 'function' | 'object' | 'list';

interface Kind {
  readonly word: string;
  readonly fields: Readonly<Record<string, FieldType>>;
  /** Whether users write its names: in flags, YAML, shell completion. */
  readonly isNamed?: true;
  /** Names reserved by the SDK and its command line. */
  readonly own?: readonly string[];
}

const made = { name: 'string', create: 'function' } as const;
const described = { name: 'string', description: 'string', create: 'function' } as const;

export const kinds: Readonly<Record<ContributionKind, Kind>> = {
  families: {
    word: 'a family',
    fields: {
      name: 'string',
      domain: 'string',
      matches: 'function',
      roles: 'object',
      defaultTargets: 'list',
      tasks: 'list',
    },
  },
  preprocessors: {
    word: 'a preprocessor',
    fields: { domain: 'string', fileEndings: 'list', recognises: 'function', create: 'function' },
  },
  tasks: { word: 'a task', fields: described, isNamed: true },
  datasets: {
    word: 'a dataset',
    fields: { name: 'string', description: 'string', prepare: 'function' },
    isNamed: true,
  },
  initializers: { word: 'an initializer', fields: made, isNamed: true, own: initializerNames },
  tuners: {
    word: 'a tuner',
    fields: { name: 'string', peftType: 'string', description: 'string', defaults: 'object', tune: 'function' },
    isNamed: true,
    own: ['lora', LORA, NORM_TUNER, LN_TUNING],
  },
  optimizers: { word: 'an optimizer', fields: made, isNamed: true, own: optimizerNames },
  operators: { word: 'a rule for the operator', fields: { domain: 'string', op: 'string' } },
  builders: {
    word: 'a builder',
    fields: { name: 'string', description: 'string', recognises: 'function', choose: 'function', build: 'function' },
  },
  providers: { word: 'a provider', fields: described, isNamed: true, own: providerNames },
  trackers: { word: 'a tracker', fields: described, isNamed: true, own: ['tensorboard'] },
  sections: { word: 'a report section', fields: { name: 'string', sections: 'function' } },
};

/** All kinds, in order. */
export const contributionKinds: readonly ContributionKind[] = Object.keys(kinds) as ContributionKind[];

const keys: readonly string[] = ['name', 'version', 'description', 'bindings', 'needs', ...contributionKinds];

/**
 * Makes a plugin, the default export of a package. It is plain data and functions; nothing runs before `loadPlugins`.
 * @example
 * export default definePlugin({
 *   name: 'onnx-lora-cells',
 *   version: '1.2.0',
 *   needs: { decoder: IMAGE_DECODER },
 *   families: [cellNet],
 *   tasks: ({ decoder, preprocessors }) => [new CellCountingFactory(decoder, preprocessors)],
 * });
 * @throws OnnxLoraError `PLUGIN_INVALID` for an unknown key
 */
export function definePlugin<N extends Needs = Record<never, never>>(definition: PluginDefinition<N>): Plugin {
  const { name, version, description, bindings = [], needs } = definition;
  const unknown = Object.keys(definition).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The plugin "${name}" has the unknown key "${unknown}".${didYouMean(unknown, keys)} Keys are ${keys.join(', ')}.`,
    );
  }
  const parts = contributionKinds.flatMap((kind) => {
    const given: unknown = definition[kind];
    return given === undefined ? [] : [[kind, typeof given === 'function' ? given : () => given] as const];
  });
  return {
    name,
    ...withoutUndefined({ version, description }),
    contract: PLUGIN_CONTRACT,
    bindings,
    needs: needs ?? {},
    parts: Object.fromEntries(parts) as Plugin['parts'],
  };
}
