/** @file What a user says of the adapter to train, made into a plan for one model. */

import { OnnxLoraError } from '../errors.ts';
import { type AdapterConfig, adapterConfig, scalingOf } from '../adapter/peftConfig.ts';
import { findParameter } from '../adapter/place.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterPlan, LowRankSite } from '../lora/plan.ts';
import { selectModules } from '../lora/targets.ts';
import { pathFromParameter } from '../match/modulePath.ts';
import type { Site } from '../match/sites.ts';
import { defaultTargetPaths } from '../plugin/family.ts';
import type { Model } from './model.ts';

/** The adapter to train, in PEFT's words (camelCase). */
export interface LoraOptions {
  /** Rank; 8 by default. */
  readonly r?: number;
  /** The delta is scaled by alpha / r; twice the rank by default. */
  readonly alpha?: number;
  /**
   * Modules to adapt: names (exact, or the end after a dot), a pattern for full paths, or `all-linear`. By default what
   * the model's family recommends.
   */
  readonly targetModules?: string | readonly string[];
  readonly excludeModules?: string | readonly string[];
  /** Modules to train in full and save with the adapter, such as `classifier`. */
  readonly modulesToSave?: readonly string[];
  /** Scale by alpha / √r, which keeps high ranks stable. */
  readonly useRslora?: boolean;
  /** Weight-decomposed LoRA: trains a magnitude per output beside the direction. */
  readonly useDora?: boolean;
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
  readonly layersToTransform?: number | readonly number[];
  readonly layersPattern?: string | readonly string[];
}

/** A plan for one model, and the config that PEFT will read. */
export interface LoraPlan {
  readonly plan: AdapterPlan;
  readonly config: AdapterConfig;
}

/**
 * Applies the options to a model.
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for impossible values
 */
export function planLora(model: Model, options: LoraOptions = {}): LoraPlan {
  const r = options.r ?? 8;
  if (!Number.isInteger(r) || r < 1)
    throw new OnnxLoraError('CONFIG_INVALID', `The rank r must be a whole number of at least 1, but it is ${r}.`);
  const wanted = { ...options, targetModules: options.targetModules ?? familyTargets(model) };
  const modules = [...model.modules(), ...otherModules(model)];
  const { targets, modulesToSave } = selectModules(modules, wanted, { model: model.name });
  const config = adapterConfig({
    r,
    alpha: options.alpha ?? 2 * r,
    // Full paths leave nothing to interpret when PEFT loads the adapter.
    targetModules: targets,
    modulesToSave: options.modulesToSave ?? null,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora ?? false,
    useDora: options.useDora ?? false,
    baseModelNameOrPath: model.name,
  });
  const sites = new Map(model.sites().map((site) => [site.path, site]));
  const graph = model.onnx.model.graph;
  return {
    config,
    plan: {
      lowRank: targets.map((path) => lowRankSite(sites.get(path)!, config)),
      trained: modulesToSave.flatMap((path) =>
        ['weight', 'bias'].flatMap((parameter) => findParameter(path, parameter, graph, sites) ?? []),
      ),
    },
  };
}

function lowRankSite(site: Site, config: AdapterConfig): LowRankSite {
  const { r } = scalingOf(config, site.path);
  const refusal = kindOf(site).refuses(site, { r, dora: config.useDora, bias: config.loraBias });
  if (refusal === undefined) return { site, r, dora: config.useDora, bias: config.loraBias };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${site.path}" cannot be adapted in this way: the layer ${refusal}. Leave it out (excludeModules), or change the rank by rankPattern.`,
  );
}

/** Modules that cannot be adapted but trained in full: those whose parameters the graph holds under torch's names. */
function otherModules(model: Model): { path: string; kind: string }[] {
  const adaptable = new Set(model.modules().map(({ path }) => path));
  const paths = (model.onnx.model.graph.initializer ?? []).flatMap(
    ({ name = '' }) => pathFromParameter(name, 'weight') ?? pathFromParameter(name, 'bias') ?? [],
  );
  return [...new Set(paths)].filter((path) => !adaptable.has(path)).map((path) => ({ path, kind: 'other' }));
}

function familyTargets(model: Model): readonly string[] {
  const paths = model.modules().map(({ path }) => path);
  const targets = model.family ? defaultTargetPaths(model.family, paths) : [];
  if (targets.length > 0) return targets;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `No family knows the layers of "${model.name}", so the modules to adapt must be named: targetModules (--targets) "all-linear", or names such as ${paths
      .slice(0, 3)
      .map((path) => `"${path}"`)
      .join(', ')}.`,
  );
}
