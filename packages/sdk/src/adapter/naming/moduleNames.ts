/** @file Resolves PEFT's module names to the sites of a graph, through nested wrappers. */

import { append } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { isCalledProjection } from '../../match/structuralPath.ts';
import { attentionAround, type DropoutPattern, type LowRankSite } from '../../lora/methods/loraSite.ts';
import { type NameRule, nameRule } from '../../lora/targetRules.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { type Scaling, scalingOf } from '../formats/scaling.ts';

const WRAPPED = '.base_layer';

/** Finds sites by PEFT's module names. */
export class SiteNames {
  readonly #byPath: ReadonlyMap<string, Site>;
  /** Target parameters by module. */
  readonly #parameters = new Map<string, Site[]>();
  /** Packed projections by attention. */
  readonly #projections = new Map<string, Site[]>();

  /** `config` names the target parameters, whose names in files differ from their paths. */
  constructor(sites: readonly Site[], config: Pick<AdapterConfig, 'targetParameters'>) {
    this.#byPath = new Map(sites.map((site) => [site.path, site]));
    const isTarget = nameRule(config.targetParameters ?? [], 'targetParameters');
    for (const site of this.#byPath.values()) {
      const { path, kind, projection } = site;
      if (kind === 'parameter' && isTarget.matches(path)) {
        append(this.#parameters, path.slice(0, path.lastIndexOf('.')), site);
      }
      if (projection) append(this.#projections, projection.of, site);
    }
  }

  /** All paths of the graph. */
  get paths(): readonly string[] {
    return [...this.#byPath.keys()];
  }

  /**
   * The site of a module name. PEFT wraps `out_proj` inside a MultiheadAttention again: `attn.base_layer.out_proj`. If a
   * module has several target parameters, the first registered is innermost: `experts.base_layer` is `experts.up` if
   * `experts` is `experts.down`.
   */
  find(module: string): Site | undefined {
    const own = this.#byPath.get(module);
    if (own) return own;
    const depth = trailingWrappers(module);
    const plain = module.slice(0, module.length - depth * WRAPPED.length);
    const parameters = this.#parametersOf(plain);
    if (parameters.length > 0) return parameters[parameters.length - 1 - depth];
    return this.#byPath.get(module.replaceAll(`${WRAPPED}.`, '.')) ?? this.#projectionCalled(module);
  }

  /** A packed projection by any of its usual names in torch models. */
  #projectionCalled(module: string): Site | undefined {
    const at = module.lastIndexOf('.');
    const [attention, name] = [module.slice(0, at), module.slice(at + 1)];
    const projections = this.#projections.get(attention) ?? [];
    return projections.find(({ projection }) => isCalledProjection(name, projection!.as));
  }

  /** PEFT's name of a target parameter's module. */
  nameOf(site: Site): string {
    const module = site.path.slice(0, site.path.lastIndexOf('.'));
    const parameters = this.#parametersOf(module);
    const at = parameters.indexOf(site);
    return at < 0 ? site.path : `${module}${WRAPPED.repeat(parameters.length - 1 - at)}`;
  }

  #parametersOf(module: string): readonly Site[] {
    return this.#parameters.get(module) ?? [];
  }
}

/**
 * Scaling of a module. PEFT applies a MultiheadAttention's rank and alpha to `out_proj` too, and merges its delta
 * twice, in training and inference: its effect is doubled.
 */
export function scalingAt(
  config: Parameters<typeof scalingOf>[0] & Partial<Pick<AdapterConfig, 'targetParameters'>>,
  { site, savedAs = site.path }: Pick<LowRankSite, 'site' | 'savedAs'>,
): Scaling {
  const attention = attentionAround(savedAs);
  if (attention === undefined) return scalingOf(config, patternName(site, config.targetParameters ?? []));
  const own = scalingOf(config, attention);
  return { ...own, scaling: 2 * own.scaling };
}

/** Dropout on a layer's input; as in PEFT, none for embeddings. */
export function dropoutAt(
  { kind }: Pick<Site, 'kind'>,
  { loraDropout, extra }: Pick<AdapterConfig, 'loraDropout' | 'extra'>,
): Pick<LowRankSite, 'dropout' | 'dropoutPattern'> {
  if (loraDropout === 0 || kind === 'embedding' || kind === 'parameter') return {};
  const pattern = dropoutPatterns.find((each) => each === extra[DROPOUT_PATTERN]);
  return { dropout: loraDropout, ...(pattern && { dropoutPattern: pattern }) };
}

/** All dropout patterns. */
export const dropoutPatterns: readonly DropoutPattern[] = ['element', 'column', 'row'];

/** Config key of the dropout pattern. PEFT has no such key and drops elements. */
export const DROPOUT_PATTERN = 'lora_dropout_pattern';

/** The name that rank and alpha patterns match: the parameter's, if adapted by name. */
function patternName({ path, kind }: Site, targetParameters: readonly string[]): string {
  const weight = `${path}.weight`;
  return kind !== 'parameter' && parameterRule(targetParameters).matches(weight) ? weight : path;
}

const parameterRules = new WeakMap<readonly string[], NameRule>();

/** Caches the rule: an adapter asks for hundreds of modules. */
function parameterRule(names: readonly string[]): NameRule {
  const known = parameterRules.get(names) ?? nameRule(names, 'targetParameters');
  parameterRules.set(names, known);
  return known;
}

function trailingWrappers(module: string): number {
  let depth = 0;
  for (let rest = module; rest.endsWith(WRAPPED); rest = rest.slice(0, -WRAPPED.length)) depth++;
  return depth;
}
