/** @file From the module names in PEFT's files to the sites of a graph, through PEFT's nested wrappers. */

import type { Site } from '../../match/sites.ts';
import { isCalledProjection } from '../../match/structuralPath.ts';
import { attentionAround, type DropoutPattern, type LowRankSite } from '../../lora/methods/loraSite.ts';
import { type NameRule, nameRule } from '../../lora/targetRules.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { type Scaling, scalingOf } from '../formats/scaling.ts';

const WRAPPED = '.base_layer';

/** Sites by path, with the names that PEFT's wrappers give them. */
export class SiteNames {
  readonly #byPath: ReadonlyMap<string, Site>;
  /** Target parameters by the module that has them. */
  readonly #parameters = new Map<string, Site[]>();
  /** Packed projections by their attention. */
  readonly #projections = new Map<string, Site[]>();

  /** `config` says which parameters are adapted, whose names in files differ from their paths. */
  constructor(sites: readonly Site[], config: Pick<AdapterConfig, 'targetParameters'>) {
    this.#byPath = new Map(sites.map((site) => [site.path, site]));
    const isTarget = nameRule(config.targetParameters ?? [], 'targetParameters');
    for (const site of this.#byPath.values()) {
      const { path, kind, projection } = site;
      if (kind === 'parameter' && isTarget.matches(path)) {
        listed(this.#parameters, path.slice(0, path.lastIndexOf('.')), site);
      }
      if (projection) listed(this.#projections, projection.of, site);
    }
  }

  /** All paths of the graph. */
  get paths(): readonly string[] {
    return [...this.#byPath.keys()];
  }

  /**
   * The site that a file's module name means. Inside a MultiheadAttention PEFT wraps `out_proj` once more:
   * `attn.base_layer.out_proj`. Of several target parameters of one module, the first that torch registered is the
   * innermost: `experts.base_layer` is `experts.up` where `experts` is `experts.down`.
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

  /** A packed projection, whose name is but a guess, under any name that torch models have for it. */
  #projectionCalled(module: string): Site | undefined {
    const at = module.lastIndexOf('.');
    const [attention, name] = [module.slice(0, at), module.slice(at + 1)];
    const projections = this.#projections.get(attention) ?? [];
    return projections.find(({ projection }) => isCalledProjection(name, projection!.as));
  }

  /** The name in PEFT's files of a target parameter's module. */
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

function listed(lists: Map<string, Site[]>, key: string, site: Site): void {
  const list = lists.get(key);
  if (list) list.push(site);
  else lists.set(key, [site]);
}

/**
 * Scaling of one module. PEFT takes rank and alpha of a MultiheadAttention for its `out_proj` too, and merges that one's
 * delta twice, in training as in inference: what it learnt acts doubled.
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

/** What training leaves out of a layer's input by an adapter's config: nothing of an embedding's, in PEFT either. */
export function dropoutAt(
  { kind }: Pick<Site, 'kind'>,
  { loraDropout, extra }: Pick<AdapterConfig, 'loraDropout' | 'extra'>,
): Pick<LowRankSite, 'dropout' | 'dropoutPattern'> {
  if (loraDropout === 0 || kind === 'embedding' || kind === 'parameter') return {};
  const pattern = dropoutPatterns.find((each) => each === extra[DROPOUT_PATTERN]);
  return { dropout: loraDropout, ...(pattern && { dropoutPattern: pattern }) };
}

/** Ways of dropout, for options. */
export const dropoutPatterns: readonly DropoutPattern[] = ['element', 'column', 'row'];

/** The key of an adapter's config that says in which way it drops; PEFT has none, and drops elements. */
export const DROPOUT_PATTERN = 'lora_dropout_pattern';

/** What patterns for rank and alpha are matched against: of a weight that is adapted by its own name that name. */
function patternName({ path, kind }: Site, targetParameters: readonly string[]): string {
  const weight = `${path}.weight`;
  return kind !== 'parameter' && parameterRule(targetParameters).matches(weight) ? weight : path;
}

const parameterRules = new WeakMap<readonly string[], NameRule>();

/** An adapter asks for hundreds of modules; its list is read once. */
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
