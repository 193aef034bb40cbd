/** @file Selects a config's modules as PEFT does, and reports entries that PEFT silently ignores. */

import { PatternWork } from './patternMatch.ts';
import { TargetCheck } from './targetCheck.ts';
import { isCalledProjection, type Projection } from '../match/structuralPath.ts';
import {
  ALL_LINEAR,
  type TargetConfig,
  allLinear,
  endings,
  layerRule,
  type NameRule,
  nameRule,
  savedRule,
} from './targetRules.ts';

export type { TargetConfig } from './targetRules.ts';

/** A module of a model: torch's path and kind. */
export interface NamedModule {
  readonly path: string;
  /** Linear layers, convolutions, transposed ones and embeddings can be adapted; other kinds only saved whole. */
  readonly kind: string;
  /** Path of the joined layer that contains this projection. */
  readonly partOf?: string;
  /** Attention projection, if the name was guessed from usual ones. */
  readonly projection?: Projection;
}

/** The modules selected by a config, as paths in the given order. */
export interface SelectedModules {
  /** Modules that get an adapter. */
  readonly targets: string[];
  /** Modules trained in full: those matching `modulesToSave`, and their submodules. */
  readonly modulesToSave: string[];
}

/** Options of {@link selectModules}. */
export interface SelectOptions {
  /** Whether an entry without effect is an error; true by default. Loaded adapters may have some, as in PEFT. */
  readonly strict?: boolean;
  /** Path of a language model's output layer, which `all-linear` leaves out. */
  readonly outputEmbedding?: string | undefined;
  /** Name of the model in errors. */
  readonly model?: string;
}

/** The entries that match no whole layer, and so may mean parts of joined layers. */
function forParts(
  names: string | readonly string[],
  modules: readonly NamedModule[],
  target: NameRule,
): string | readonly string[] {
  const layers = modules.filter(({ partOf }) => partOf === undefined);
  if (layers.length === modules.length) return [];
  if (typeof names === 'string') return layers.some(({ path }) => target.matches(path)) ? [] : names;
  const existing = new Set(layers.flatMap(({ path }) => endings(path)));
  return names.filter((name) => !existing.has(name));
}

/** Replaces usual projection names with the model's own; entries that match a module stay. */
function ownNames<Names extends TargetConfig['targetModules']>(modules: readonly NamedModule[], names: Names) {
  const projections = modules.filter(({ projection }) => projection !== undefined);
  if (typeof names === 'string' || !names || projections.length === 0) return names;
  const [guessed, others] = [projections, modules.filter(({ projection }) => projection === undefined)].map(
    (each) => new Set(each.flatMap(({ path }) => endings(path))),
  ) as [Set<string>, Set<string>];
  return names.flatMap((name) => {
    if (guessed.has(name) || others.has(name)) return [name];
    const at = name.lastIndexOf('.') + 1;
    const called = projections.filter((each) => isCalledProjection(name.slice(at), each.projection!));
    const own = new Set(called.map(({ path }) => `${name.slice(0, at)}${path.slice(path.lastIndexOf('.') + 1)}`));
    const found = [...own].filter((each) => guessed.has(each) && !others.has(each));
    return found.length > 0 ? found : [name];
  });
}

const adaptable: ReadonlySet<string> = new Set([
  'linear',
  'conv1d',
  'conv2d',
  'conv3d',
  'convTranspose1d',
  'convTranspose2d',
  'embedding',
]);

/**
 * Applies PEFT's target rules: exclusions, then modules barred by `modulesToSave`, then `targetModules`, limited by
 * `layersToTransform` unless an entry is a module's full path. Entries that match no layer may select parts of joined
 * layers that are not adapted as a whole. In a list, projections with guessed names match all their usual names.
 * @example
 * selectModules(model.modules(), { targetModules: ['query', 'value'] }).targets
 * @throws OnnxLoraError `TARGET_NOT_FOUND` (strict) if an entry matches nothing or nothing is left to train;
 *   `CONFIG_INVALID` for an unusable pattern and for combinations that PEFT refuses
 */
export function selectModules(
  modules: readonly NamedModule[],
  config: TargetConfig,
  { strict = true, outputEmbedding, model }: SelectOptions = {},
): SelectedModules {
  const given = ownNames(modules, config.targetModules);
  const isAllLinear = typeof given === 'string' && given.toLowerCase() === ALL_LINEAR;
  const work = new PatternWork();
  const names = isAllLinear ? allLinear(modules, config.taskType, outputEmbedding) : (given ?? []);
  const target = nameRule(names, 'targetModules', work);
  const excludeModules = ownNames(modules, config.excludeModules);
  const excluded = nameRule(excludeModules || [], 'excludeModules', work);
  const saved = savedRule(config.modulesToSave ?? [], work);
  const layers = layerRule(config, work);

  const partTarget = nameRule(forParts(names, modules, target), 'targetModules', work);

  const isTarget = ({ path, partOf }: NamedModule): boolean => {
    const rule = partOf === undefined ? target : partTarget;
    if (excluded.matches(path) || saved.forbids(path) || !rule.matches(path)) return false;
    if (partOf !== undefined && (saved.forbids(partOf) || target.matches(partOf))) return false;
    if (!layers.wanted || target.matchesExactly(path)) return true;
    const layer = layers.numberIn(path);
    return layer !== undefined && layers.wanted.has(layer);
  };

  const paths = [...new Map(modules.map((module) => [module.path, module])).values()];
  const selected = {
    targets: paths.filter((each) => adaptable.has(each.kind) && isTarget(each)).map(({ path }) => path),
    modulesToSave: paths
      .filter(({ path, partOf }) => partOf === undefined && saved.wraps(path))
      .map(({ path }) => path),
  };
  if (strict) {
    const canAdapt = paths.filter(({ kind }) => adaptable.has(kind));
    const meant = { ...config, targetModules: given, excludeModules };
    new TargetCheck(paths, canAdapt, meant, model).check(selected, isAllLinear, layers);
  }
  return selected;
}
