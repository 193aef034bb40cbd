/** @file What must hold of a model family. */

import { defaultTargetPaths, type ModelFacts, type ModelFamily } from '../../plugin/family.ts';
import type { FamilySignatures } from '../../plugin/moduleNames.ts';
import { call, findings } from '../failures.ts';

/** Models by which a family is checked: `model.config` and the paths of `model.modules()`. */
export interface FamilyExamples {
  /** Models of the family: of each generation of names, and one without a config. */
  readonly own: readonly ModelFacts[];
  /** Models that are not of the family, the nearer the better. */
  readonly others?: readonly ModelFacts[];
}

/** What no family may take for its own. */
const strangers: readonly ModelFacts[] = [
  { modulePaths: [] },
  { config: {}, modulePaths: [] },
  { config: { model_type: 'onnx-lora-unknown' }, modulePaths: ['onnx_lora_unknown.0'] },
];

/**
 * Checks a model family by examples: it recognises its own models and no others; each role has a module in one of them;
 * default targets are roles, and adapt something in every one; patterns match whole paths.
 *
 * @example
 * const facts = { config: model.config, modulePaths: model.modules().map(({ path }) => path) };
 * assert.deepEqual(checkFamily(cellNet, { own: [facts], others: [vitFacts] }), []);
 *
 * @returns what does not hold, and what `matches` throws; nothing where all is well
 */
export function checkFamily(family: ModelFamily, { own, others = [] }: FamilyExamples): string[] {
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
    ...Object.entries(family.roles).flatMap(([role, patterns]) => roleProblems(role, patterns, paths)),
    ...targetProblems(family, own),
    ...(family.tasks.length === 0 ? ['it names no task'] : []),
  ];
}

function numbered(whose: string, i: number, { length }: readonly ModelFacts[]): string {
  return `${whose} model ${i + 1} of ${length}`;
}

/** What a family was given to recognise a model by: `no config and 12 module paths, such as "encoder.0.query"`. */
function factsIn({ config, modulePaths }: ModelFacts): string {
  const [some, type] = [modulePaths.slice(0, 2).map((each) => `"${each}"`), config?.['model_type']];
  return [
    config
      ? `a config ${type === undefined ? 'without model_type' : `of model_type ${JSON.stringify(type)}`}`
      : 'no config',
    `${modulePaths.length || 'no'} module ${modulePaths.length === 1 ? 'path' : 'paths'}${some.length > 0 ? `, such as ${some.join(' and ')}` : ''}`,
  ].join(' and ');
}

/** What a family that is made of marks looks for in such facts; nothing is known of one that recognises by itself. */
function soughtBy(family: ModelFamily & Partial<FamilySignatures>, { config }: ModelFacts): string {
  const { modelTypes, signatures } = family;
  if (!modelTypes || !signatures) return '';
  if (config?.['model_type'] !== undefined) return `. It looks for model_type ${list(modelTypes, ' or ')}`;
  return `. Without model_type, it looks in the paths for ${signatures.map((each) => list(each, ' and ')).join(', or for ') || 'nothing'}`;
}

function list(names: readonly string[], conjunction: string): string {
  return names.map((each) => (each.startsWith('!') ? `no "${each.slice(1)}"` : `"${each}"`)).join(conjunction);
}

function roleProblems(role: string, patterns: readonly RegExp[], paths: readonly string[]): string[] {
  if (patterns.length === 0) return [`the role "${role}" has no pattern`];
  const flagged = patterns.find(({ flags }) => flags !== '' && flags !== 'u');
  if (flagged) return [`the role "${role}" has the pattern ${String(flagged)}, whose flags are not heeded`];
  const isWhole = (path: string): boolean =>
    patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(path)); // prettier-ignore
  if (paths.some(isWhole)) return [];
  const part = paths.find((path) => patterns.some((pattern) => pattern.test(path)));
  return [
    part === undefined
      ? `the role "${role}" is no module's in any example`
      : `the role "${role}" matches a part of "${part}", but patterns are for whole paths`,
  ];
}

function targetProblems(family: ModelFamily, own: readonly ModelFacts[]): string[] {
  const { defaultTargets, roles } = family;
  if (defaultTargets.length === 0) return ['it adapts nothing by default'];
  return [
    ...defaultTargets
      .filter((role) => !Object.hasOwn(roles, role))
      .map((role) => `"${role}" is adapted by default, but is no role of its own`),
    ...own.flatMap(({ modulePaths }, i) =>
      defaultTargetPaths(family, modulePaths).length > 0
        ? []
        : [`of ${numbered('own', i, own)} nothing is adapted by default`],
    ),
  ];
}
