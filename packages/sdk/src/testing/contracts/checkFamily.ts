/** @file What must hold of a model family. */

import { defaultTargetPaths, type ModelFacts, type ModelFamily } from '../../plugin/family.ts';

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
 * @returns what does not hold; nothing where all does
 */
export function checkFamily(family: ModelFamily, { own, others = [] }: FamilyExamples): string[] {
  if (own.length === 0) return ['there is no example of its own models'];
  const paths = [...new Set(own.flatMap(({ modulePaths }) => modulePaths))];
  return [
    ...own.flatMap((facts, i) => (family.recognise(facts) === true ? [] : [`own model ${i} is not recognised`])),
    ...others.flatMap((facts, i) => (family.recognise(facts) ? [`other model ${i} is taken for its own`] : [])),
    ...strangers.flatMap((facts) =>
      family.recognise(facts) ? [`a model of ${JSON.stringify(facts.config ?? 'no config')} is taken for its own`] : [],
    ),
    ...Object.entries(family.roles).flatMap(([role, patterns]) => roleProblems(role, patterns, paths)),
    ...targetProblems(family, own),
    ...(family.tasks.length === 0 ? ['it names no task'] : []),
  ];
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
      defaultTargetPaths(family, modulePaths).length > 0 ? [] : [`of own model ${i} nothing is adapted by default`],
    ),
  ];
}
