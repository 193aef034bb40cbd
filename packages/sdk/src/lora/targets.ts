/** @file Chooses the modules that a config names, as PEFT does, and says what PEFT keeps silent about. */

import { TargetCheck } from './targetCheck.ts';
import { ALL_LINEAR, type TargetConfig, allLinear, layerRule, nameRule, savedRule } from './targetRules.ts';

export type { TargetConfig } from './targetRules.ts';

/** A module of a model: torch's path, and what it is. */
export interface NamedModule {
  readonly path: string;
  /** Linear layers, convolutions, transposed ones and embeddings can be adapted; any other kind can only be saved whole. */
  readonly kind: string;
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
  readonly outputEmbedding?: string;
  /** How errors call the model. */
  readonly model?: string;
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
  const given = config.targetModules;
  const isAllLinear = typeof given === 'string' && given.toLowerCase() === ALL_LINEAR;
  const target = nameRule(isAllLinear ? allLinear(modules, config.taskType, outputEmbedding) : (given ?? []), 'targetModules'); // prettier-ignore
  const excluded = nameRule(config.excludeModules || [], 'excludeModules');
  const saved = savedRule(config.modulesToSave ?? []);
  const layers = layerRule(config);

  const isTarget = (path: string): boolean => {
    if (excluded.matches(path) || saved.forbids(path) || !target.matches(path)) return false;
    if (!layers.wanted || target.matchesExactly(path)) return true;
    const layer = layers.numberIn(path);
    return layer !== undefined && layers.wanted.has(layer);
  };

  const paths = [...new Map(modules.map((module) => [module.path, module])).values()];
  const selected = {
    targets: paths.filter(({ path, kind }) => adaptable.has(kind) && isTarget(path)).map(({ path }) => path),
    modulesToSave: paths.filter(({ path }) => saved.wraps(path)).map(({ path }) => path),
  };
  if (strict) {
    const canAdapt = paths.filter(({ kind }) => adaptable.has(kind));
    new TargetCheck(paths, canAdapt, config, model).check(selected, isAllLinear, layers);
  }
  return selected;
}
