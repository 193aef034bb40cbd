/** @file Model families as data: module names by role, signatures, and facts for the reference page. */

import type { NamePair } from '../../adapter/naming/nameTable.ts';
import type { ModelFamily } from './family.ts';

/**
 * A module's name: the last components of its path. `{n}` is a number; a leading `^` anchors it at the root. A pair is
 * the module's name in transformers 4 and 5. A regular expression must match the whole path.
 */
export type ModuleName = string | NamePair | RegExp;

/** Modules by role: `{ 'attention.query': [{ 4: 'attention.self.query', 5: 'attention.q_proj' }], classifier: ['^head'] }`. */
export type RoleNames = Readonly<Record<string, readonly ModuleName[]>>;

/** The patterns of {@link ModelFamily.roles}, one per name and generation. */
export function rolesFrom(names: RoleNames): Record<string, RegExp[]> {
  return Object.fromEntries(
    Object.entries(names).map(([role, list]) => [
      role,
      list.flatMap((name) => (name instanceof RegExp ? name : spellings(name).map(endPattern))),
    ]),
  );
}

/** The pairs of names, for {@link ModelFamily.generations}. */
export function pairsFrom(names: RoleNames): NamePair[] {
  return Object.values(names).flatMap((list) =>
    list.filter((name): name is NamePair => typeof name !== 'string' && !(name instanceof RegExp)),
  );
}

/** How a family's models are recognised. */
export interface FamilySignatures {
  /** Values of `model_type` in config.json. Where the field is set, it alone decides. */
  readonly modelTypes: readonly string[];
  /**
   * For models without `model_type`: lists of names that occur in module paths, as whole components, with `^` at the
   * root. A model matches a list when each of its names occurs and none after `!` does.
   */
  readonly signatures: readonly (readonly string[])[];
}

/**
 * Makes {@link ModelFamily.matches} from signatures.
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

/** A family with its documentation. */
export interface DescribedFamily extends ModelFamily, FamilySignatures {
  /** Display name. */
  readonly title: string;
  /** Module names by role; `roles` and `generations` are made from them. */
  readonly names: RoleNames;
  /** The paper that describes it. */
  readonly paper?: string;
  /** Source of the default targets: a study, or a note that no study exists. */
  readonly targetsFrom?: string;
  /** Image processors or feature extractors of transformers that its models use. */
  readonly preprocessors: readonly string[];
}

/** A family's definition. */
export interface FamilyDefinition extends Omit<
  DescribedFamily,
  'matches' | 'roles' | 'title' | 'preprocessors' | 'defaultTargets'
> {
  /** Display name; `name` by default. */
  readonly title?: string;
  /** See {@link DescribedFamily.preprocessors}; none by default. */
  readonly preprocessors?: readonly string[];
  /** Roles adapted by default; if absent, those of {@link queriesAndValues} that the family has. */
  readonly defaultTargets?: readonly string[];
  /** Other renamed modules of transformers 5: norms, parameters, and modules without a role. */
  readonly renamed?: readonly NamePair[];
}

/**
 * Makes a family from its definition. `generations` is one table of all pairs, unless given, for families whose classes
 * differ.
 * @example
 * const speaker = describedFamily({
 *   name: 'speaker', domain: 'speech', modelTypes: ['speaker'], signatures: [['^encoder.blocks.{n}']],
 *   names: { 'attention.query': ['attn.q_proj'], 'attention.value': ['attn.v_proj'] },
 *   tasks: ['audio-classification'],
 * });
 */
export function describedFamily({ renamed = [], ...facts }: FamilyDefinition): DescribedFamily {
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

/** Queries and values; a fused layer that holds keys too is adapted as a whole. */
export const queriesAndValues: readonly string[] = ['attention.query', 'attention.value', 'attention.query-key-value'];

/** The reason for {@link queriesAndValues} where no study compares targets for a family. */
export const asInLora =
  'no study of this family; queries and values as in Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 7.1';
