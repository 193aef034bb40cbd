/** @file Checks model families. */

import { defaultTargetPaths, type ModelFacts, type ModelFamily, type FamilySignatures } from '@onnx-lora/sdk/plugin';
import { call, findings } from '../failures.ts';

/** A model of the family: `model.config`, the paths of `model.modules()`, and expected targets. */
export interface FamilyModel extends ModelFacts {
  /** Expected default targets: ends of module paths, in order; not checked if absent. */
  readonly targets?: readonly string[];
}

/** Input of {@link checkFamily}. */
export interface FamilyExamples {
  /** Models of the family: for each generation of names, and one without a config. */
  readonly own: readonly FamilyModel[];
  /** Models of other families, preferably similar ones. */
  readonly others?: readonly ModelFacts[];
  /** Whether every module must have a role; by default none may have two. */
  readonly complete?: boolean;
}

const strangers: readonly ModelFacts[] = [
  { modulePaths: [] },
  { config: {}, modulePaths: [] },
  { config: { model_type: 'onnx-lora-unknown' }, modulePaths: ['onnx_lora_unknown.0'] },
];

/**
 * Checks a family on examples: it recognises its own models and no others, and `model_type` decides; each role occurs,
 * and no module has two roles; default targets are roles and adapt every example, or exactly the expected modules;
 * patterns match whole paths.
 * @example
 * const facts = { config: model.config, modulePaths: model.modules().map(({ path }) => path) };
 * assert.deepEqual(checkFamily(cellNet, { own: [facts], others: [vitFacts] }), []);
 * @returns the problems found, including errors; empty if there are none
 */
export function checkFamily(
  family: ModelFamily & Partial<FamilySignatures>,
  { own, others = [], complete = false }: FamilyExamples,
): string[] {
  if (own.length === 0) return ['there is no example of its own models'];
  const paths = [...new Set(own.flatMap(({ modulePaths }) => modulePaths))];
  const isOwn = (facts: ModelFacts, name: string): boolean => call(`matches of ${name}`, () => family.matches(facts));
  const taken = (facts: ModelFacts, name: string): string[] =>
    findings(() => (isOwn(facts, name) ? [`${name} is taken for its own`] : []));
  return [
    ...own.flatMap((facts, i) => {
      const name = numbered('own', i, own);
      const missed = `${name} is not recognised: it has ${factsIn(facts)}${soughtBy(family, facts)}`;
      return findings(() => (isOwn(facts, name) === true ? [] : [missed]));
    }),
    ...others.flatMap((facts, i) => taken(facts, numbered('other', i, others))),
    ...strangers.flatMap((facts) => taken(facts, `a model of ${JSON.stringify(facts.config ?? 'no config')}`)),
    ...(family.modelTypes ?? []).flatMap((model_type) =>
      findings(() =>
        isOwn({ config: { model_type }, modulePaths: [] }, `model_type "${model_type}"`)
          ? []
          : [`model_type "${model_type}" alone is not recognised, though it is among its own`],
      ),
    ),
    ...Object.entries(family.roles).flatMap(([role, patterns]) => roleProblems(role, patterns, paths)),
    ...paths.flatMap((path) => moduleProblems(family, path, complete)),
    ...targetProblems(family, own),
    ...(family.tasks.length === 0 ? ['it names no task'] : []),
  ];
}

function numbered(whose: string, i: number, { length }: readonly ModelFacts[]): string {
  return `${whose} model ${i + 1} of ${length}`;
}

/** Facts of a model: `no config and 12 module paths, such as "encoder.0.query"`. */
function factsIn({ config, modulePaths }: ModelFacts): string {
  const [some, type] = [modulePaths.slice(0, 2).map((each) => `"${each}"`), config?.['model_type']];
  return [
    config
      ? `a config ${type === undefined ? 'without model_type' : `of model_type ${JSON.stringify(type)}`}`
      : 'no config',
    `${modulePaths.length || 'no'} module ${modulePaths.length === 1 ? 'path' : 'paths'}${some.length > 0 ? `, such as ${some.join(' and ')}` : ''}`,
  ].join(' and ');
}

/** Signatures that a family looks for; unknown for a custom `matches`. */
function soughtBy(family: ModelFamily & Partial<FamilySignatures>, { config }: ModelFacts): string {
  const { modelTypes, signatures } = family;
  if (!modelTypes || !signatures) return '';
  if (config?.['model_type'] !== undefined) return `. It looks for model_type ${list(modelTypes, ' or ')}`;
  return `. Without model_type, it looks in the paths for ${signatures.map((each) => list(each, ' and ')).join(', or for ') || 'nothing'}`;
}

function list(names: readonly string[], conjunction: string): string {
  return names.map((each) => (each.startsWith('!') ? `no "${each.slice(1)}"` : `"${each}"`)).join(conjunction);
}

function isOfRole(patterns: readonly RegExp[], path: string): boolean {
  return patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(path));
}

function moduleProblems({ roles }: ModelFamily, path: string, complete: boolean): string[] {
  const found = Object.keys(roles).filter((role) => isOfRole(roles[role]!, path));
  if (found.length > 1) return [`"${path}" has more than one role: ${list(found, ' and ')}`];
  return complete && found.length === 0 ? [`"${path}" has no role`] : [];
}

function roleProblems(role: string, patterns: readonly RegExp[], paths: readonly string[]): string[] {
  if (patterns.length === 0) return [`the role "${role}" has no pattern`];
  const flagged = patterns.find(({ flags }) => flags !== '' && flags !== 'u');
  if (flagged) return [`the role "${role}" has the pattern ${String(flagged)}, whose flags are not heeded`];
  if (paths.some((path) => isOfRole(patterns, path))) return [];
  const part = paths.find((path) => patterns.some((pattern) => pattern.test(path)));
  return [
    part === undefined
      ? `the role "${role}" is no module's in any example`
      : `the role "${role}" matches a part of "${part}", but patterns are for whole paths`,
  ];
}

function targetProblems(family: ModelFamily, own: readonly FamilyModel[]): string[] {
  const { defaultTargets, roles } = family;
  if (defaultTargets.length === 0) return ['it adapts nothing by default'];
  return [
    ...defaultTargets
      .filter((role) => !Object.hasOwn(roles, role))
      .map((role) => `"${role}" is adapted by default, but is no role of its own`),
    ...own.flatMap(({ modulePaths, targets }, i) => {
      const found = defaultTargetPaths(family, modulePaths);
      const isWanted =
        !targets || (targets.length === found.length && targets.every((end, j) => endsIn(found[j]!, end)));
      if (found.length > 0 && isWanted) return [];
      const wanted = isWanted ? '' : `, expected ${list(targets, ', ')}`;
      return [`of ${numbered('own', i, own)} ${list(found, ', ') || 'nothing'} is adapted by default${wanted}`];
    }),
  ];
}

/** Whether a path ends in `end`, in whole components. */
function endsIn(path: string, end: string): boolean {
  return `.${path}`.endsWith(`.${end}`);
}
