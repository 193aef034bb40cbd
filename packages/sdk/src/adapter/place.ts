/** @file Where each tensor of an adapter belongs in a graph. */

import { OnnxLoraError, nearest } from '../errors.ts';
import type { GraphProto } from '../graph/proto.ts';
import { indexGraph } from '../graph/walk.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterPlan, LowRankSite, TrainedParameter } from '../lora/plan.ts';
import type { Site } from '../match/sites.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Adapter } from './adapter.ts';
import { parseTensorName, tensorName } from './tensorNames.ts';

/** The tensors of one module that make its low-rank adapter, as PEFT lays them out. */
export interface LowRankTensors {
  readonly lowRank: LowRankSite;
  /** `[r, in]`, `[r, in, ...kernel]` of a convolution, `[r, vocabulary]` of an embedding. */
  readonly A: Tensor;
  /** `[out, r]`, `[out, r / groups, 1, ...]` of a convolution, `[dim, r]` of an embedding. */
  readonly B: Tensor;
  /** DoRA's magnitude: `[out]`, `[1, out, 1, ...]` of a convolution, `[dim]` of an embedding. */
  readonly magnitude?: Tensor;
  /** The bias of B (`lora_bias`), `[out]`. */
  readonly bias?: Tensor;
}

/** An adapter's tensors by their places. */
export interface PlacedAdapter {
  readonly adapter: Adapter;
  readonly lowRank: readonly LowRankTensors[];
  readonly trained: readonly { readonly parameter: TrainedParameter; readonly tensor: Tensor }[];
  /** Tensors that the graph has no place for: modules that it does not hold, and copies of the base. */
  readonly unused: readonly string[];
}

/**
 * Finds the place of every tensor of an adapter.
 *
 * @throws OnnxLoraError `ADAPTER_MISMATCH` when a shape differs from the model's, half of a pair is missing, or nothing
 *   in the model fits; `MODEL_UNSUPPORTED` for parts of an adapter that cannot be applied
 */
export function placeAdapter(
  adapter: Adapter,
  graph: GraphProto,
  sites: readonly Site[],
  model: string,
): PlacedAdapter {
  const siteByPath = new Map(sites.map((site) => [site.path, site]));
  const modules = new Map<string, Map<string, Tensor>>();
  const trained: PlacedAdapter['trained'][number][] = [];
  const unused: string[] = [];
  for (const [name, tensor] of adapter.tensors) {
    const { module, role, parameter } = parseTensorName(name);
    if (role === 'parameter' || role === 'base_layer.bias') {
      const found = findParameter(module, parameter ?? 'bias', graph, siteByPath);
      if (!found) unused.push(name);
      else {
        const checked = checkParameter(found, tensor, model);
        trained.push({
          parameter: role === 'parameter' ? checked : { ...checked, savedAs: tensorName(module, role) },
          tensor,
        });
      }
    } else if (role === 'base_layer.weight' || !siteByPath.has(module)) {
      unused.push(name);
    } else {
      const tensors = modules.get(module) ?? new Map<string, Tensor>();
      modules.set(module, tensors.set(role, tensor));
    }
  }
  const lowRank = [...modules].map(([path, tensors]) => lowRankTensors(siteByPath.get(path)!, tensors, model));
  if (lowRank.length === 0 && trained.length === 0) {
    const wanted = parseTensorName([...adapter.tensors.keys()][0] ?? '').module;
    const near = nearest(wanted, siteByPath.keys());
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `None of the adapter's modules is in "${model}": it adapts "${wanted}"…, the model has ${(near.length > 0 ? near : [...siteByPath.keys()].slice(0, 3)).map((each) => `"${each}"`).join(', ')}…. Use the base model that the adapter was trained on.`,
    );
  }
  return { adapter, lowRank, trained, unused };
}

/** The plan that gives a place to every one of these adapters. */
export function joinPlans(placed: readonly PlacedAdapter[]): AdapterPlan {
  const lowRank = new Map<string, LowRankSite>();
  const trained = new Map<string, TrainedParameter>();
  for (const each of placed) {
    for (const { lowRank: entry } of each.lowRank) {
      const before = lowRank.get(entry.site.path);
      lowRank.set(entry.site.path, {
        site: entry.site,
        dora: entry.dora || (before?.dora ?? false),
        bias: (entry.bias ?? false) || (before?.bias ?? false),
      });
    }
    for (const { parameter } of each.trained) trained.set(parameter.name, parameter);
  }
  return { lowRank: [...lowRank.values()], trained: [...trained.values()] };
}

/** The initializer that holds torch's parameter `module.parameter`, where the graph has it. */
export function findParameter(
  module: string,
  parameter: string,
  graph: GraphProto,
  sites: ReadonlyMap<string, Site>,
): TrainedParameter | undefined {
  const name = module === '' ? parameter : `${module}.${parameter}`;
  const site = sites.get(module);
  if (site && parameter === 'weight') {
    const { weight, node } = site;
    return {
      name,
      modulePath: module,
      initializer: weight.name,
      layout: weight.layout,
      tensor: weight.tensor,
      readers: [node],
      site,
    };
  }
  if (site?.bias && parameter === 'bias') {
    const { bias } = site;
    return {
      name,
      modulePath: module,
      initializer: bias.name,
      layout: 'torch',
      tensor: bias.tensor,
      readers: [bias.node],
      site,
    };
  }
  const { constants, uses } = indexGraph(graph);
  const tensor = constants.get(name);
  return (
    tensor && {
      name,
      modulePath: module,
      initializer: name,
      layout: 'torch',
      tensor,
      readers: (uses.get(name) ?? []).map(({ node }) => node),
    }
  );
}

function checkParameter(found: TrainedParameter, tensor: Tensor, model: string): TrainedParameter {
  const dims = found.tensor.dims ?? [];
  const expected = found.layout === 'in-out' ? [...dims].reverse() : dims;
  requireShape(`${found.name} of the adapter`, tensor.dims, expected, model);
  return found;
}

function lowRankTensors(site: Site, tensors: ReadonlyMap<string, Tensor>, model: string): LowRankTensors {
  if (tensors.has('trainable_tokens_delta')) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter of module "${site.path}" has a trainable_tokens_delta, which cannot be applied yet.`,
    );
  }
  const kind = kindOf(site);
  const { names } = kind;
  const [A, B, magnitude] = [
    tensors.get(names.lora_A),
    tensors.get(names.lora_B),
    tensors.get('lora_magnitude_vector'),
  ];
  if (!A || !B) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `The adapter holds only half of module "${site.path}", a ${site.kind}: ${A ? names.lora_B : names.lora_A} is missing. Copy or save it again.`,
    );
  }
  const r = A.dims[0] ?? 0;
  const dora = magnitude !== undefined;
  const bias = tensors.get('lora_B.bias');
  const refusal = kind.refuses(site, { r, dora, bias: bias !== undefined });
  if (refusal !== undefined)
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter of "${site.path}" cannot be applied: the layer ${refusal}.`,
    );
  requireShape(`${names.lora_A} of "${site.path}"`, A.dims, kind.factorShape(site, 'lora_A', r), model);
  requireShape(`${names.lora_B} of "${site.path}"`, B.dims, kind.factorShape(site, 'lora_B', r), model);
  if (magnitude)
    requireShape(`lora_magnitude_vector of "${site.path}"`, magnitude.dims, kind.perOutputShape(site), model);
  if (bias) requireShape(`lora_B.bias of "${site.path}"`, bias.dims, [kind.matrix(site).out], model);
  return {
    lowRank: { site, r, dora, bias: bias !== undefined },
    A,
    B,
    ...(magnitude ? { magnitude } : {}),
    ...(bias ? { bias } : {}),
  };
}

function requireShape(what: string, found: readonly number[], expected: readonly number[], model: string): void {
  if (found.length === expected.length && found.every((dim, i) => dim === expected[i])) return;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${what} has shape [${found.join(', ')}], but "${model}" needs [${expected.join(', ')}]. Use the base model that the adapter was trained on.`,
  );
}
