/** @file Chooses the modules that a config names, as PEFT does, and says what PEFT keeps silent about. */

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

/** A module of a model: torch's path, and what it is. */
export interface NamedModule {
  readonly path: string;
  /** Linear layers, convolutions, transposed ones and embeddings can be adapted; any other kind can only be saved whole. */
  readonly kind: string;
  /** Of queries, keys or values that are one layer with others: the path of that layer. */
  readonly partOf?: string;
  /** Which of an attention's projections it is, where its name is but what such are usually called. */
  readonly projection?: Projection;
}

/** The modules that a config chooses, as paths in the order in which they were given. */
export interface SelectedModules {
  /** Modules that get a low-rank adapter. */
  readonly targets: string[];
  /** Modules that are trained in full: those that `modulesToSave` names, and those inside them. */
  readonly modulesToSave: string[];
}

/** How {@link selectModules} chooses. */
export interface SelectOptions {
  /**
   * Whether an entry that has no effect is an error, as it should be when a person wrote it. PEFT accepts it, so a
   * loaded adapter may hold some. Default true.
   */
  readonly strict?: boolean;
  /** Path of the layer that makes a language model's logits; `all-linear` leaves it out. */
  readonly outputEmbedding?: string | undefined;
  /** How errors call the model. */
  readonly model?: string;
}

/** What of the targets may mean parts of joined layers: what no layer is called. */
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

/** A list with the model's own names for projections that it calls otherwise; what names a module stays. */
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
 * Applies PEFT's target rules: first what is excluded, then what `modulesToSave` bars, then `targetModules`, limited
 * by `layersToTransform` unless an entry is a module's full path.
 *
 * Parts of joined layers are reached by entries that match no layer, so that what means layers in PEFT means them here; the
 * part of a layer that is adapted itself is left out. A list finds projections whose names are guessed under any of the names
 * that such have.
 *
 * @example
 * selectModules(model.modules(), { targetModules: ['query', 'value'] }).targets
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` (strict) when an entry matches nothing, or nothing is left to train;
 * `CONFIG_INVALID` for an unusable pattern and for combinations that PEFT refuses.
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
