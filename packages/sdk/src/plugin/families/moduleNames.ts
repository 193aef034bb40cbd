/** @file Module names as a family lists them, made into what a family consists of: roles, tables, how it is recognised. */

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
