/** @file Selects the layers to quantise, with reasons for keeping the others. */

import type { NodeProto } from '../../graph/proto.ts';
import { type GraphIndex, indexWhole } from '../../graph/walk.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { fusedFrom } from '../../match/view.ts';
import { weightSize } from '../../match/weights/stored.ts';
import { isStandard } from '../../ops/domains.ts';
import type { QuantizedForm } from '../../ops/quantization/forms.ts';
import type { LoraOptions } from '../planning/loraOptions.ts';
import { targetNames } from '../planning/chosenModules.ts';
import { selectNamed } from '../graph/selectNamed.ts';
import type { Model } from '../loaded/model.ts';

/** A layer left unquantised. */
export interface KeptLayer {
  /** torch's module path. */
  readonly module: string;
  /** The reason, as the end of a sentence that starts with the module. */
  readonly reason: string;
  /** The error that exceeds the limit, if that is the reason. */
  readonly error?: number;
}

/** The requested layers. */
export interface LayerChoice extends Pick<LoraOptions, 'targetModules' | 'excludeModules'> {
  readonly smallest: number;
}

/** The layers to quantise, and the others. */
export interface ChosenLayers {
  readonly sites: readonly Site[];
  readonly kept: readonly KeptLayer[];
}

/** Selects linear layers and embeddings: all, or those that `targetModules` names. Throws as `previewLora`. */
export function chooseLayers(model: Model, form: QuantizedForm, choice: LayerChoice): ChosenLayers {
  const layers = model.sites().filter(isQuantizable);
  const asked = askedFor(model, layers, choice);
  const kept: KeptLayer[] = [];
  const sites = layers.filter((site) => {
    const reason = asked.has(site.path) ? refusal(site, model, form, choice) : undefined;
    if (reason !== undefined) kept.push({ module: site.path, reason });
    return asked.has(site.path) && reason === undefined;
  });
  const found = withoutShared(model, sites);
  return { sites: found.sites, kept: [...kept, ...found.kept] };
}

/** True for kinds of layers that can be quantised. */
export function isQuantizable({ kind }: Site): boolean {
  return kind === 'linear' || kind === 'embedding';
}

/** Drops layers whose weight has other readers: the file would hold it twice. */
export function withoutShared(model: Model, given: readonly Site[]): ChosenLayers {
  const index = indexWhole(model.onnx.model.graph);
  const kept: KeptLayer[] = [];
  let sites = given;
  for (;;) {
    const products = new Set(sites.flatMap((site) => occurrencesOf(site).map(({ node }) => node)));
    const chains = new Set(sites.flatMap((site) => occurrencesOf(site).flatMap(({ weight }) => weight.stored.chain)));
    const others = sites.flatMap((site) => {
      const reader = otherReader(site.weight.stored.tensors[0].name, index, products, chains);
      return reader === undefined ? [] : [{ site, reader }];
    });
    if (others.length === 0) return { sites, kept };
    kept.push(...others.map(({ site, reader }) => ({ module: site.path, reason: `shares its weight with ${reader}` })));
    sites = sites.filter((site) => others.every((each) => each.site !== site));
  }
}

function askedFor(
  model: Model,
  layers: readonly Site[],
  { targetModules, excludeModules }: LayerChoice,
): ReadonlySet<string> {
  const names = targetModules === undefined ? layers.map(({ path }) => path) : targetNames(model, { targetModules });
  const wanted = { r: 1, loraAlpha: 1, targetModules: names, ...(excludeModules && { excludeModules }) };
  return new Set(selectNamed(model.namedModules(), wanted, model).targets);
}

function refusal(site: Site, model: Model, form: QuantizedForm, { smallest }: LayerChoice): string | undefined {
  const { stored } = site.weight;
  const places = occurrencesOf(site);
  const fused = places.map(({ node }) => fusedFrom(node)).find((each) => each !== undefined);
  if (!/^(?:float32|float16|bfloat16)$/.test(stored.storage)) return `is ${stored.storage} already`;
  if (fused) return `is inside a fused ${fused.opType}`;
  const other = places.find((place) => !isProduct(place));
  if (other) return `is computed by ${other.node.opType}, with its weight in a place that no quantised product has`;
  const read = places.map((place) => (place.kind === 'embedding' ? place.output : place.input));
  const type = read.map((value) => model.types().get(value)?.type).find((each) => each && each !== 'float32');
  if (type) return `computes in ${type}`;
  const size = weightSize(stored);
  if (size < smallest) return `has a weight of ${size} numbers only`;
  if (site.kind === 'linear' && form.bits === 'nf4' && size % form.blockSize !== 0)
    return `has a weight of ${size} numbers, not a multiple of ${form.blockSize}`;
  return undefined;
}

/** True if a standard operator computes `x · W`, or takes rows of the table. */
function isProduct({ kind, node, nodes, weight, arrange }: Site): boolean {
  const { opType, domain, input = [] } = node;
  if (kind === 'embedding')
    return isStandard(domain) && nodes.length === 1 && input[0] === weight.name && weight.stored.chain.every(isCast);
  return !arrange && isStandard(domain) && (opType === 'MatMul' || opType === 'Gemm') && input[1] === weight.name;
}

/** The rows of a table in 16 bits are cast after the lookup as well. */
function isCast({ opType }: NodeProto): boolean {
  return opType === 'Cast';
}

/** Another reader of a tensor besides the products: a node, or a graph output. */
function otherReader(
  name: string,
  index: GraphIndex,
  products: ReadonlySet<NodeProto>,
  chains: ReadonlySet<NodeProto>,
): string | undefined {
  if (index.outputs.has(name)) return `the output "${name}"`;
  for (const { node } of index.uses.get(name) ?? []) {
    if (products.has(node)) continue;
    if (!chains.has(node)) return `${node.opType} "${node.name || node.output?.[0]}"`;
    for (const output of node.output ?? []) {
      const found = otherReader(output, index, products, chains);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
