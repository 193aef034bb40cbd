/** @file `definePlugin`: everything that a package brings, in one typed object. */

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
import { defined } from '../defined.ts';
import type { Tuner } from '../../lora/tuner.ts';
import { providerNames } from '../../runtime/providers/providers.ts';
import { optimizerNames } from '../../train/optimizers/named.ts';
import type { ModelFamily } from '../families/family.ts';
import type { PreprocessorFactory, TaskFactory } from '../taskFactory.ts';

/** Version of what this file describes. A plugin carries that of the SDK it was made with. */
export const PLUGIN_CONTRACT = 2;

/** All kinds of things that a plugin may bring, each a list. */
export interface Contributions {
  /** How models are recognised, what their modules are for, which are adapted. */
  readonly families: readonly ModelFamily[];
  /** How a file becomes what a model is fed. */
  readonly preprocessors: readonly PreprocessorFactory[];
  /** How examples become feeds, the loss, metrics, predictions. */
  readonly tasks: readonly TaskFactory[];
  /** Data by name. */
  readonly datasets: readonly DatasetFactory[];
  /** First values of adapters. */
  readonly initializers: readonly InitializerFactory[];
  /** Ways to adapt layers other than LoRA. */
  readonly tuners: readonly Tuner[];
  /** How gradients become steps. */
  readonly optimizers: readonly OptimizerFactory[];
  /** Gradients and shapes of operators that the SDK does not know. */
  readonly operators: readonly OperatorRule[];
  /** What makes graphs of folders without .onnx files. */
  readonly builders: readonly ModelBuilder[];
  /** Where graphs run. */
  readonly providers: readonly ProviderFactory[];
  /** Who follows a run. */
  readonly trackers: readonly TrackerFactory[];
  /** What reports show beside what the task shows. */
  readonly sections: readonly SectionFactory[];
}

/** A kind of contribution. */
export type ContributionKind = keyof Contributions;

/** What the functions of a plugin are handed: what it needs, and the preprocessors of all plugins, in their order. */
export type Services<N extends Needs> = Resolved<N> & { readonly preprocessors: readonly PreprocessorFactory[] };

/** A list, or a function that makes it of what the plugin needs. */
type Parts<N extends Needs> = {
  readonly [Kind in ContributionKind]?:
    Contributions[Kind] | ((services: Kind extends 'preprocessors' ? Resolved<N> : Services<N>) => Contributions[Kind]);
};

/** What a package brings. Made by {@link definePlugin}. */
export interface Plugin {
  /** The package's name, such as `@acme/onnx-lora-cells`. */
  readonly name: string;
  /** The package's version. */
  readonly version?: string;
  /** One line for `onnx-lora plugins`. */
  readonly description?: string;
  /** {@link PLUGIN_CONTRACT} of the SDK that it was made with. */
  readonly contract: number;
  /** What it lends to others and to itself. */
  readonly bindings: readonly Binding[];
  /** What it borrows from others. */
  readonly needs: Needs;
  /** Makes each list from what the plugin needs. */
  readonly parts: {
    readonly [Kind in ContributionKind]?: (services: Readonly<Record<string, unknown>>) => Contributions[Kind];
  };
}

/** What {@link definePlugin} takes. */
export interface PluginDefinition<N extends Needs>
  extends Parts<N>, Pick<Plugin, 'name' | 'version' | 'description'>, Partial<Pick<Plugin, 'bindings'>> {
  /** Tokens of what it must have, its own or others', by the names under which its functions get them. */
  readonly needs?: N;
}

/** Of what type a field must be; `list` is an array. */
export type FieldType = 'string' | 'function' | 'object' | 'list';

/** What is known of a kind. */
interface Kind {
  /** What one of it is called in messages. */
  readonly word: string;
  /** What each must have. */
  readonly fields: Readonly<Record<string, FieldType>>;
  /** Whether users write its names: as a flag's value, in YAML, into a shell's completion. */
  readonly isNamed?: true;
  /** Names that the SDK and its command have themselves. */
  readonly own?: readonly string[];
}

const made = { name: 'string', create: 'function' } as const;
const described = { name: 'string', description: 'string', create: 'function' } as const;

/** All kinds, in the order in which they are listed. */
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

/** The kinds by their names. */
export const contributionKinds: readonly ContributionKind[] = Object.keys(kinds) as ContributionKind[];

const keys: readonly string[] = ['name', 'version', 'description', 'bindings', 'needs', ...contributionKinds];

/**
 * Makes a plugin: the default export of a package that brings something. It is plain data and functions; nothing happens
 * before `loadPlugins` asks.
 *
 * @example
 * export default definePlugin({
 *   name: 'onnx-lora-cells',
 *   version: '1.2.0',
 *   needs: { decoder: IMAGE_DECODER },
 *   families: [cellNet],
 *   tasks: ({ decoder, preprocessors }) => [new CellCountingFactory(decoder, preprocessors)],
 * });
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` for a key that plugins do not have, which JavaScript would pass over
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
    ...defined({ version, description }),
    contract: PLUGIN_CONTRACT,
    bindings,
    needs: needs ?? {},
    parts: Object.fromEntries(parts) as Plugin['parts'],
  };
}
