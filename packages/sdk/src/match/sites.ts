/** @file Finds the adaptable layers of a graph: linear layers, convolutions, embeddings. */

import { isOfBranch, nameInBase } from '../graph/branchNames.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import { type GraphIndex, indexWhole, subgraphs } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { layerFinders } from './layers/index.ts';
import type { Layer } from './layers/layer.ts';
import { recurrentWeights } from './layers/recurrent.ts';
import { nextAmong } from './attention/attentionRoles.ts';
import { scopeCompletion, uncountedPaths } from './completePaths.ts';
import {
  confidenceOf,
  isCalledByOperator,
  type PathSource,
  pathFromNodeName,
  pathFromParameter,
  pathFromScopes,
  pathFromTensorName,
  pathFromValueName,
  shortName,
} from './modulePath.ts';
import { findParts, withProjections } from './attention/fusedQkv.ts';
import type { Site } from './site.ts';
import { isNormalized, packedProjection, pathFromFusedBias, projectionPath } from './structuralPath.ts';
import { areTied, haveOneWeight, isTransposed } from './tiedWeights.ts';
import { isOfExpansion } from './view.ts';
import { constantWeight } from './weights/index.ts';

export type { SiteKind, WeightLayout } from './layers/layer.ts';
export { occurrencesOf, type Site } from './site.ts';

/** Options of {@link findSites}. */
export interface FindOptions {
  /** The inferred type of a value, if known. */
  readonly typeOf?: (value: string) => ValueType | undefined;
  /** Whether to split fused QKV layers, which needs the types of many values; true by default. */
  readonly parts?: boolean;
}

/** Finds all sites of a graph and its subgraphs, in graph order. Value names must be unique across subgraphs. */
export function findSites(graph: GraphProto, { typeOf = () => undefined, parts = true }: FindOptions = {}): Site[] {
  const index = indexWhole(graph);
  const finders = layerFinders((value) => typeOf(value)?.shape?.length);
  const complete = scopeCompletion(graph, index);
  const found: Found[] = [];
  const layers = new Map<string, string[]>();
  for (const { node, branch } of allNodes(graph, '')) {
    if (!isKnownDomain(node)) continue;
    found.push(...recurrentSites(node, index, { complete, layers }).map((site) => ({ site, branch })));
    for (const find of finders) {
      const layer = find(node, index);
      if (!layer || isOfBranch(layer.weight.stored.tensors[0].name)) continue;
      const site = named(layer, index, complete);
      if (isModule(site, index)) found.push({ site, branch });
      break;
    }
  }
  const unnamed = (site: Site): Site => named(site, index, complete, false);
  const own = withoutSharedBiases(found, index, unnamed);
  const sites = withProjections(grouped(withRepeatedCalls(withExperts(withStructure(own, index)))), index, typeOf);
  return parts ? findParts(sites, index, typeOf) : sites;
}

/** LSTM and GRU weights under torch's names: `lstm.weight_ih_l0`. @param layers weights so far, by module path */
function recurrentSites(
  node: NodeProto,
  index: GraphIndex,
  { complete, layers }: { readonly complete: (scope: string) => string; readonly layers: Map<string, string[]> },
): Site[] {
  const weights = recurrentWeights(node, index);
  const [first] = weights;
  if (!first) return [];
  const scope = pathFromNodeName(node.name);
  const isTorchs = node.name?.startsWith('/') ?? false;
  const candidates: readonly (readonly [PathSource, string | undefined])[] = [
    ['name-scopes', pathFromScopes(node)],
    ['node-name', scope !== undefined && isTorchs ? complete(scope) : undefined],
    ['scope-name', scope],
    ['value-name', node.name || first.output],
  ];
  const [pathSource, module] = candidates.find(([, candidate]) => candidate !== undefined)!;
  const known = layers.get(module!) ?? [];
  const root = first.weight.stored.tensors[0].name;
  if (!known.includes(root)) layers.set(module!, [...known, root]);
  const layer = layers.get(module!)!.indexOf(root);
  return weights.map(({ parameter: [name, suffix], ...own }) => ({
    ...own,
    path: `${module}.${name}_l${layer}${suffix}`,
    pathSource,
    alsoAt: [],
  }));
}

/**
 * Renames layers called after a bias that is another's too: optimizers keep equal tensors once, such as biases of zeros.
 * @param unnamed names a layer without its bias
 */
function withoutSharedBiases(
  found: readonly Found[],
  index: GraphIndex,
  unnamed: (site: Site) => Site,
): readonly Found[] {
  const places = byPath(found.filter(({ site }) => site.pathSource === 'bias-name'));
  const isShared = ({ site }: Found): boolean => {
    const [first, ...others] = places.get(site.path) ?? [];
    if (!first) return false;
    return others.some((other) => !isSameModule(first, other)) || isNormalized(site.path, index);
  };
  return found.map((each) => (isShared(each) ? { ...each, site: unnamed(each.site) } : each));
}

const expertNames = ['gate_up_proj', 'down_proj'];

function withExperts(found: readonly Found[]): readonly Found[] {
  const modules = new Map<string, Site[]>();
  for (const { site } of found) {
    const module = site.experts !== undefined && isUnnamed(site.path) ? pathFromScopes(site.node) : undefined;
    if (module !== undefined) modules.set(module, [...(modules.get(module) ?? []), site]);
  }
  const paths = new Map<Site, string>();
  for (const [module, sites] of modules)
    if (sites.length === expertNames.length) sites.forEach((site, i) => paths.set(site, `${module}.${expertNames[i]}`));
  return found.map(({ site, branch }) => {
    const path = paths.get(site);
    return { site: path === undefined ? site : { ...site, path, pathSource: 'structure' }, branch };
  });
}

function isUnnamed(name: string): boolean {
  return /^(?:val_|onnx::|_?tensor)/.test(name);
}

/**
 * Whether a layer is a module. A constant from the left needs a module's name, since it may be a transform's matrix.
 * With two constants, the second needs one and the first must be no parameter, as in Swin v2's bias from a table of
 * distances.
 */
function isModule(site: Site, index: GraphIndex): boolean {
  const { node, kind, path, pathSource, weight, input } = site;
  const left = constantWeight(input, index);
  if (left) {
    const isOwn = pathFromParameter(rootOf(site), 'weight') === path || isUnnamed(rootOf(site));
    const isParameter = pathFromParameter(left.tensors[0].name, 'weight') !== undefined;
    return kind === 'linear' && confidenceOf(pathSource) === 'certain' && isOwn && !isParameter;
  }
  return node.input?.[0] !== weight.name || node.opType !== 'MatMul' || pathSource !== 'value-name';
}

function withStructure(found: readonly Found[], index: GraphIndex): readonly Found[] {
  const readers = new Map(found.map(({ site }) => [site.input, site]));
  const pathOfReader = (value: string): string | undefined => {
    const reader = readers.get(nextAmong(value, index, (each) => readers.has(each)) ?? '');
    return reader && reader.pathSource !== 'value-name' ? reader.path : undefined;
  };
  return found.map(({ site, branch }) => {
    const root = site.weight.stored.tensors[0].name;
    const packed = packedProjection(site.node, root, index, pathOfReader);
    if (!packed) return { site, branch };
    const { projection, attention, output } = packed;
    const path = projectionPath(packed, pathOfReader(output));
    return { site: { ...site, path, pathSource: 'structure', projection: { of: attention, as: projection } }, branch };
  });
}

/** Gives repeated calls the path of the first: `query_1` becomes `query`. */
function withRepeatedCalls(found: readonly Found[]): readonly Found[] {
  const places = byPath(found);
  return found.map((each) => {
    const path = uncountedPaths(each.site.path).find((candidate) =>
      places.get(candidate)?.some((first) => isSameModule(first, each)),
    );
    return path === undefined ? each : { ...each, site: { ...each.site, path } };
  });
}

interface Found {
  readonly site: Site;
  readonly branch: string;
}

function* allNodes(graph: GraphProto, branch: string): Generator<{ node: NodeProto; branch: string }> {
  let count = 0;
  for (const node of graph.node ?? []) {
    yield { node, branch };
    for (const subgraph of subgraphs(node)) yield* allNodes(subgraph, `${branch}/${count++}`);
  }
}

/** Merges occurrences of one module, and renames distinct layers that share a path. */
function grouped(found: readonly Found[]): Site[] {
  const sites: Site[] = [];
  const modules = byPath(found);
  const taken = new Set(modules.keys());
  for (const places of modules.values()) {
    const isTied = (site: Site): boolean =>
      places.some((other) => other.site !== site && areTied(other.site.weight, site.weight));
    // Prefer the layer in the module's own scope over one that reads another's weight transposed.
    const strangeness = ({ site }: Found): number =>
      2 * Number(isOutside(site)) + Number(isTied(site) && isTransposed(site.weight));
    let rest: readonly Found[] = places.toSorted((a, b) => strangeness(a) - strangeness(b));
    for (let number = 0; rest.length > 0; number++) {
      const [first, ...others] = rest as [Found, ...Found[]];
      const same = others.filter((other) => isSameModule(first, other));
      rest = others.filter((other) => !same.includes(other));
      const own = number === 0 ? {} : ({ path: freePath(first.site, taken), pathSource: 'value-name' } as const);
      sites.push({ ...first.site, ...own, alsoAt: same.map(({ site }) => ({ ...site, ...own })) });
    }
  }
  const order = new Map(found.map(({ site }, i) => [site.node, i]));
  return sites.sort((a, b) => order.get(a.node)! - order.get(b.node)!);
}

function byPath(found: readonly Found[]): Map<string, Found[]> {
  const places = new Map<string, Found[]>();
  for (const each of found) {
    const own = places.get(each.site.path);
    if (own) own.push(each);
    else places.set(each.site.path, [each]);
  }
  return places;
}

function isSameModule({ site: a, branch }: Found, { site: b, branch: other }: Found): boolean {
  if (a.kind !== b.kind || a.weightShape.join() !== b.weightShape.join()) return false;
  // The branches of an If compute the same module, even if its weight is stored twice.
  const isStoredTwice = a.weight.stored.tensors[0].name !== b.weight.stored.tensors[0].name;
  return (branch !== other && isStoredTwice) || haveOneWeight(a.weight, b.weight);
}

function rootOf({ weight }: Site): string {
  return weight.stored.tensors[0].name;
}

function isOutside({ path, node }: Site): boolean {
  const scope = scopeOfLayer(node);
  return scope === undefined || (path !== scope && !path.endsWith(`.${scope}`));
}

function scopeOfLayer(node: NodeProto): string | undefined {
  return pathFromScopes(node) ?? pathFromNodeName(nameInBase(node.name ?? ''));
}

/** A unique path for a second layer under a module's path: its own scope, or its node's name. */
function freePath(site: Site, taken: Set<string>): string {
  const { path, node } = site;
  const last = node.name?.split('/').at(-1);
  const base = (isOutside(site) ? scopeOfLayer(node) : undefined) ?? shortName(last ? `${path}.${last}` : path);
  let free = base;
  for (let number = 1; taken.has(free); number++) free = `${base}.${number}`;
  taken.add(free);
  return free;
}

/** @param hasOwnBias false if the bias is another layer's too, and tells no name */
function named(layer: Layer, index: GraphIndex, complete: (scope: string) => string, hasOwnBias = true): Site {
  const { weight, bias, kind } = layer;
  const node = { ...layer.node, name: nameInBase(layer.node.name ?? '') };
  const root = weight.stored.tensors[0].name;
  if (kind === 'parameter') return { ...layer, path: shortName(root), pathSource: 'weight-name', alsoAt: [] };
  // Some quantizers leave torch's name on the dequantized weight.
  const steps = weight.stored.chain.flatMap(({ output = [] }) => output);
  const made = steps.filter((name) => !isOfExpansion(name));
  const weightPath = [root, ...made]
    .map((name) => pathFromParameter(name, 'weight'))
    .find((path) => path !== undefined);
  const shared =
    weight.stored.isPart || [root, weight.name, ...steps].some((name) => (index.uses.get(name)?.length ?? 0) > 1);
  const scope = pathFromNodeName(node.name);
  // torch's exporter begins names with a slash; others come from other exporters or optimizers.
  const isTorchs = node.name?.startsWith('/') ?? false;
  const scopes = pathFromScopes(node);
  const biasPath =
    bias && hasOwnBias && !bias.stored.isPart ? pathFromParameter(bias.stored.tensors[0].name, 'bias') : undefined;
  // A module with parameters read by another, such as MultiheadAttention's out_proj, has no scope.
  const inScopes = (inner: string | undefined): string | undefined =>
    !shared && scopes !== undefined && inner?.startsWith(`${scopes}.`) ? inner : undefined;
  const candidates: readonly (readonly [PathSource, string | undefined])[] = [
    // A normalization folded into a convolution leaves its own scope, and the convolution's parameter names.
    ['weight-name', bias?.name === `${root}_bias` ? weightPath : undefined],
    ['weight-name', inScopes(weightPath)],
    ['bias-name', inScopes(biasPath)],
    ['name-scopes', scopes],
    // A parameter with one reader keeps torch's name; a shared one may carry another module's.
    ['weight-name', shared ? undefined : weightPath],
    ['node-name', scope !== undefined && isTorchs ? complete(scope) : undefined],
    ['weight-name', weight.stored.isPart ? undefined : weightPath],
    ['bias-name', biasPath],
    ['bias-name', hasOwnBias ? pathFromFusedBias(layer.product, index) : undefined],
    ['scope-name', isTorchs ? undefined : scope],
    ['output-name', pathFromValueName(nameInBase(layer.output))],
    ['tensor-name', shared || !isCalledByOperator(node) ? undefined : pathFromTensorName(root)],
    ['value-name', shortName(node.name || nameInBase(node.output![0]!))],
  ];
  const [pathSource, path] = candidates.find(([, candidate]) => candidate !== undefined)!;
  return { ...layer, path: path!, pathSource, alsoAt: [] };
}
