/** @file A family from facts: names of its modules, how it is recognised, and what a reference page tells of it. */

import type { NamePair } from '../../adapter/naming/nameTable.ts';
import type { ModelFamily } from './family.ts';

/**
 * The name of a module in a family's list: the end of its path, in whole parts, whatever comes before. `{n}` is a number;
 * `^` at the beginning says that nothing comes before. A pair is the same module in transformers 4 and 5. A regular
 * expression, matched against the whole path, says what a name cannot.
 */
export type ModuleName = string | NamePair | RegExp;

/** Modules by role: `{ 'attention.query': [{ 4: 'attention.self.query', 5: 'attention.q_proj' }], classifier: ['^head'] }`. */
export type RoleNames = Readonly<Record<string, readonly ModuleName[]>>;

/** The patterns of {@link ModelFamily.roles}: one for every name of either generation. */
export function rolesFrom(names: RoleNames): Record<string, RegExp[]> {
  return Object.fromEntries(
    Object.entries(names).map(([role, list]) => [
      role,
      list.flatMap((name) => (name instanceof RegExp ? name : spellings(name).map(endPattern))),
    ]),
  );
}

/** The pairs among the names, for {@link ModelFamily.generations}. */
export function pairsFrom(names: RoleNames): NamePair[] {
  return Object.values(names).flatMap((list) =>
    list.filter((name): name is NamePair => typeof name !== 'string' && !(name instanceof RegExp)),
  );
}

/** By what a model of a family is known. */
export interface FamilySignatures {
  /** What `model_type` is in config.json. Where it says anything, it decides. */
  readonly modelTypes: readonly string[];
  /**
   * For models without it: lists of names that occur in module paths, in whole parts, anywhere or with `^` at the
   * beginning. A model is known when one list fits: each of its names occurs, and those after `!` do not.
   */
  readonly signatures: readonly (readonly string[])[];
}

/**
 * {@link ModelFamily.matches} from signatures.
 *
 * @example
 * matcher({ modelTypes: ['vit'], signatures: [['^vit.encoder.layer.{n}'], ['^vit.layers.{n}']] })
 */
export function matcher({ modelTypes, signatures }: FamilySignatures): ModelFamily['matches'] {
  const types: ReadonlySet<unknown> = new Set(modelTypes);
  const patterns = signatures.map((list) =>
    list.map((mark) => ({ wanted: !mark.startsWith('!'), pattern: partPattern(mark.replace('!', '')) })),
  );
  return ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? patterns.some((list) =>
          list.every(({ wanted, pattern }) => modulePaths.some((path) => pattern.test(path)) === wanted),
        )
      : types.has(config['model_type']);
}

function spellings(name: string | NamePair): string[] {
  return typeof name === 'string' ? [name] : [name[4], name[5]].filter((each) => each !== undefined);
}

function endPattern(name: string): RegExp {
  return new RegExp(`^${name.startsWith('^') ? '' : String.raw`(?:.*\.)?`}${source(name)}$`);
}

function partPattern(name: string): RegExp {
  return new RegExp(String.raw`${name.startsWith('^') ? '^' : String.raw`(?:^|\.)`}${source(name)}(?:\.|$)`);
}

function source(name: string): string {
  return name
    .replace('^', '')
    .replaceAll('.', String.raw`\.`)
    .replaceAll('{n}', String.raw`\d+`);
}

/** A family with what people are told of it. */
export interface DescribedFamily extends ModelFamily, FamilySignatures {
  /** What people call it. */
  readonly title: string;
  /** Names of its modules by role, which its patterns and its table of both generations are made from. */
  readonly names: RoleNames;
  /** The paper that describes it, where there is one. */
  readonly paper?: string;
  /** Why its default targets are those: the study, or that there is none. */
  readonly targetsFrom?: string;
  /** The image processors or feature extractors of transformers that its models are published with. */
  readonly preprocessors: readonly string[];
}

/** What a family's file lists. */
export interface FamilyFacts extends Omit<
  DescribedFamily,
  'matches' | 'roles' | 'title' | 'preprocessors' | 'defaultTargets'
> {
  /** What people call it; the name by default. */
  readonly title?: string;
  /** As {@link DescribedFamily.preprocessors}; none by default. */
  readonly preprocessors?: readonly string[];
  /** Roles that are adapted by default; those of {@link queriesAndValues} that it has where none are given. */
  readonly defaultTargets?: readonly string[];
  /** What else transformers 5 renamed: norms and parameters, or modules that no role has. */
  readonly renamed?: readonly NamePair[];
}

/**
 * A family from its facts. `generations`, where given, is taken as it is, for families whose classes differ; otherwise it
 * is one table of all pairs.
 *
 * @example
 * const speaker = describedFamily({
 *   name: 'speaker', domain: 'speech', modelTypes: ['speaker'], signatures: [['^encoder.blocks.{n}']],
 *   names: { 'attention.query': ['attn.q_proj'], 'attention.value': ['attn.v_proj'] },
 *   tasks: ['audio-classification'],
 * });
 */
export function describedFamily({ renamed = [], ...facts }: FamilyFacts): DescribedFamily {
  const pairs = [...pairsFrom(facts.names), ...renamed];
  return {
    ...(pairs.length > 0 ? { generations: [{ pairs }] } : {}),
    ...(facts.defaultTargets ? {} : { targetsFrom: asInLora }),
    ...facts,
    defaultTargets: facts.defaultTargets ?? queriesAndValues.filter((role) => Object.hasOwn(facts.names, role)),
    title: facts.title ?? facts.name,
    preprocessors: facts.preprocessors ?? [],
    matches: matcher(facts),
    roles: rolesFrom(facts.names),
  };
}

/** Queries and values; a layer that holds keys as well is adapted as a whole. */
export const queriesAndValues: readonly string[] = ['attention.query', 'attention.value', 'attention.query-key-value'];

/** The reason for {@link queriesAndValues} where nobody has compared targets for a family. */
export const asInLora =
  'no study of this family; queries and values as in Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 7.1';
