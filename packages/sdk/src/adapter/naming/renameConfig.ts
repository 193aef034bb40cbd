/** @file Translates a config to other module names, keeping its selection. */

import { append } from '../../graph/walk.ts';
import { PatternWork } from '../../lora/patternMatch.ts';
import { ALL_LINEAR, endings, savedRule } from '../../lora/targetRules.ts';
import { selectModules } from '../../lora/targets.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { escaped, scalingOf } from '../formats/scaling.ts';

/** Modules by their old names, with the translation. */
export interface Renaming {
  readonly adapted: readonly string[];
  readonly saved: readonly string[];
  /** All known modules, adapted or not, to detect names that would match others. */
  readonly known: readonly string[];
  readonly to: (path: string) => string;
}

/**
 * Translates a config to select the same modules in the new naming. Short names stay short if they mean the same
 * (`query` becomes `q_proj`); otherwise, and for patterns, full paths replace them.
 */
export function renameConfig(config: AdapterConfig, renaming: Renaming): AdapterConfig {
  const { adapted, saved, to } = renaming;
  const modules = [...new Set([...renaming.known, ...adapted, ...saved])];
  const all: Renaming = { ...renaming, known: modules };
  const { trainableTokenIndices: rows } = config;
  const modulesToSave = renameSaved(config.modulesToSave, all);
  return {
    ...config,
    ...renameTargets(config, { ...config, modulesToSave }, all),
    modulesToSave,
    ...renameScalings(config, all),
    targetParameters: config.targetParameters?.map(to) ?? null,
    trainableTokenIndices:
      rows === null || Array.isArray(rows)
        ? rows
        : Object.fromEntries(
            Object.entries(rows as Readonly<Record<string, number[]>>).map(([path, ids]) => [to(path), ids]),
          ),
  };
}

type TargetFields = Pick<AdapterConfig, 'targetModules' | 'excludeModules' | 'layersToTransform' | 'layersPattern'>;

function renameTargets(before: AdapterConfig, after: AdapterConfig, { adapted, known, to }: Renaming): TargetFields {
  const exact: TargetFields = {
    targetModules: before.targetModules && adapted.map(to),
    excludeModules: null,
    layersToTransform: null,
    layersPattern: null,
  };
  const targetModules = renameField(before.targetModules, known, to);
  const excludeModules = renameField(before.excludeModules, known, to);
  // PEFT 0.18 reads the last number of a path as the layer, PEFT 0.21 the first; full paths mean the same to both.
  const isByLayer = before.layersToTransform !== null;
  if (targetModules === undefined || excludeModules === undefined || isByLayer) return exact;
  const short: TargetFields = { ...exact, targetModules, excludeModules };
  return sameSet(select(known, before).map(to), select(known.map(to), { ...after, ...short })) ? short : exact;
}

function renameField(
  names: AdapterConfig['targetModules'],
  known: readonly string[],
  to: (path: string) => string,
): AdapterConfig['targetModules'] | undefined {
  if (names === null || names === '') return null;
  // `all-linear` has no names; patterns are not translated.
  if (typeof names === 'string') return names.toLowerCase() === ALL_LINEAR ? names : undefined;
  const byEnding = endingsOf(known);
  const renamed = names.map((name) => renameName(name, byEnding, to));
  const all = renamed.flat();
  // Names that become equal, as o_proj and fc1 become "dense", could match further modules.
  return new Set(all).size === all.length ? all : undefined;
}

function select(paths: readonly string[], config: AdapterConfig): string[] {
  const modules = paths.map((path) => ({ path, kind: 'linear' }));
  return selectModules(modules, config, { strict: false }).targets;
}

type ByEnding = ReadonlyMap<string, readonly string[]>;

/** Paths by their endings: a config may hold more names than a model has modules. */
function endingsOf(known: readonly string[]): ByEnding {
  const all = new Map<string, string[]>();
  for (const path of known) for (const end of new Set(endings(path))) append(all, end, path);
  return all;
}

/** Translates a name (exact, or the end after a dot) to ends of the new paths. */
function renameName(name: string, known: ByEnding, to: (path: string) => string): string[] {
  const length = name.split('.').length;
  const ends = (known.get(name) ?? []).map((path) => {
    const now = to(path);
    if (now === path) return name;
    return path === name ? now : now.split('.').slice(-length).join('.');
  });
  return ends.length > 0 ? [...new Set(ends)] : [to(name)];
}

function renameSaved(names: readonly string[] | null, { saved, known, to }: Renaming): readonly string[] | null {
  if (names === null) return null;
  const work = new PatternWork();
  const renamed = names.flatMap((name) => {
    const rule = savedRule([name], work);
    const isSame = (candidate: string): boolean => {
      const now = savedRule([candidate], work);
      return known.every((path) => rule.wraps(path) === now.wraps(to(path)));
    };
    const kept = [name, to(name)].find(isSame);
    return kept === undefined ? saved.filter((path) => rule.wraps(path)).map(to) : [kept];
  });
  return [...new Set(renamed)];
}

type Table = Readonly<Record<string, number>>;

function renameScalings(
  config: AdapterConfig,
  { adapted, known, to }: Renaming,
): Pick<AdapterConfig, 'rankPattern' | 'alphaPattern'> {
  const byEnding = endingsOf(known);
  const rename = (table: Table): Table =>
    Object.fromEntries(
      Object.entries(table).flatMap(([key, value]) => renameKey(key, byEnding, to).map((now) => [now, value])),
    );
  const short = { rankPattern: rename(config.rankPattern), alphaPattern: rename(config.alphaPattern) };
  const renamed = { ...config, ...short };
  const isSame = adapted.every((path) => {
    const [before, now] = [scalingOf(config, path), scalingOf(renamed, to(path))];
    return before.r === now.r && before.alpha === now.alpha;
  });
  if (isSame) return short;
  const exact = (field: 'r' | 'alpha'): Table => {
    // A key matches every path that ends with it, and the first counts: long ones go first.
    const longFirst = [...adapted].sort((a, b) => to(b).length - to(a).length);
    return Object.fromEntries(longFirst.map((path) => [escaped(to(path)), scalingOf(config, path)[field]]));
  };
  return { rankPattern: exact('r'), alphaPattern: exact('alpha') };
}

/** Translates a plain name, with optional `^`; the comparison above catches other patterns. */
function renameKey(key: string, known: ByEnding, to: (path: string) => string): string[] {
  const [, start, name] = /^(\^?)((?:\w|\\?\.)+)$/.exec(key) ?? [];
  if (name === undefined) return [key];
  const plain = name.replaceAll(String.raw`\.`, '.');
  const now = renameName(plain, known, to);
  return now.length === 1 && now[0] === plain ? [key] : now.map((each) => `${start}${escaped(each)}`);
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const [first, second] = [new Set(a), new Set(b)];
  return first.size === second.size && [...first].every((each) => second.has(each));
}
