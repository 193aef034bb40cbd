/** @file Finds torch's parameters in a graph. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { allGraphs, append, type GraphIndex, indexWhole } from '../../graph/walk.ts';
import type { ParameterReader, TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { occurrencesOf, type Site, type WeightLayout } from '../../match/sites.ts';
import { copiesParameter, pathFromParameter, scopeOf } from '../../match/modulePath.ts';
import { constantWeight, type StoredWeight } from '../../match/weights/index.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Finds parameters by torch's names. Indexes the graph once. */
export class ParameterFinder {
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #index: GraphIndex;
  readonly #graph: GraphProto;
  #scopes: ReadonlyMap<string, readonly NodeProto[]> | undefined;
  #merged: ReadonlyMap<string, readonly string[]> | undefined;

  /** Indexes a graph with its layers. */
  constructor(graph: GraphProto, sites: readonly Site[]) {
    this.#graph = graph;
    this.#index = indexWhole(graph);
    this.#sites = new Map(sites.map((site) => [site.path, site]));
  }

  /** torch's parameter `module.parameter`, if the graph has it. */
  find(module: string, parameter: string): TrainedParameter | undefined {
    const name = module === '' ? parameter : `${module}.${parameter}`;
    const site = this.#sites.get(module);
    if (site && (parameter === 'weight' || (parameter === 'bias' && site.bias))) {
      const places = occurrencesOf(site);
      const isWeight = parameter === 'weight';
      return {
        name,
        modulePath: module,
        layout: isWeight ? layoutOf(site) : 'torch',
        stored: isWeight ? site.weight.stored : site.bias!.stored,
        ...(isWeight ? {} : { torchDims: [sizeOf(site.bias!.stored.dims)] }),
        readers: places.flatMap((place): ParameterReader[] =>
          isWeight
            ? [{ node: place.node, name: place.weight.name }]
            : place.bias
              ? [{ node: place.bias.node, name: place.bias.name }]
              : [],
        ),
        site,
      };
    }
    const stored = constantWeight(name, this.#index);
    if (!stored) return this.#anonymous(name, module, parameter);
    const { of, uses } = this.#places(name);
    const readers = uses.map((node) => ({ node, name: of }));
    const held = of === name ? stored : constantWeight(of, this.#index)!;
    // Optimisers add dimensions of size 1 to the weight and bias of a normalisation.
    const isNorm = parameter === 'weight' || parameter === 'bias';
    const torchDims = isNorm && held.dims.length > 1 && isVector(held) ? { torchDims: [sizeOf(held.dims)] } : {};
    return { name, modulePath: module, layout: 'torch', stored: held, readers, ...torchDims };
  }

  /** Where a parameter's module reads it: under its name or that of a copy, which merging gives to one module of several. */
  #places(name: string): { readonly of: string; readonly uses: readonly NodeProto[] } {
    const usesOf = (of: string): readonly NodeProto[] => (this.#index.uses.get(of) ?? []).map(({ node }) => node);
    for (const of of [...(this.#copies().get(name) ?? []), name]) {
      const uses = usesOf(of).filter((node) => !copiesParameter(node));
      if (uses.length > 0) return { of, uses };
    }
    return { of: name, uses: usesOf(name) };
  }

  #copies(): ReadonlyMap<string, readonly string[]> {
    if (!this.#merged) {
      const merged = new Map<string, string[]>();
      for (const of of [...this.#index.constants.keys(), ...this.#index.producer.keys()]) {
        const name = /^(.+)\/merged_\d+$/.exec(of)?.[1];
        if (name !== undefined && this.#index.uses.has(of)) append(merged, name, of);
      }
      this.#merged = merged;
    }
    return this.#merged;
  }

  /** All of torch's parameters called `bias`: of layers, of named values, then of decomposed normalisations. */
  biases(): TrainedParameter[] {
    // Equal parameters may be stored once and copied by nodes.
    const values = [...this.#index.constants.keys(), ...this.#index.producer.keys()];
    // A fused attention stores the biases of three layers as one.
    const ofLayers = new Set([...this.#sites.values()].flatMap(({ bias }) => bias?.stored.tensors.map(({ name }) => name) ?? [])); // prettier-ignore
    const named = values.flatMap((name) => (ofLayers.has(name) ? [] : (pathFromParameter(name, 'bias') ?? [])));
    const inParts = [...this.#scopesOfSums().keys()].filter((scope) => this.#anonymous('', scope, 'weight'));
    const found = [...this.#sites.keys(), ...named, ...inParts].flatMap((module) => {
      // The bias of a MultiheadAttention's first product is torch's `in_proj_bias`.
      return this.#sites.has(`${module}.out_proj`) ? [] : (this.find(module, 'bias') ?? []);
    });
    const byReader = new Map<NodeProto, TrainedParameter>();
    for (const parameter of found) {
      if (parameter.readers.every(({ node }) => !byReader.has(node)))
        for (const { node } of parameter.readers) byReader.set(node, parameter);
    }
    return [...new Set(byReader.values())];
  }

  /**
   * A parameter without a name, as of a decomposed normalisation: the constant in the Mul or Add of its module's scope.
   */
  #anonymous(name: string, module: string, parameter: string): TrainedParameter | undefined {
    const operator = parameter === 'weight' ? 'Mul' : parameter === 'bias' ? 'Add' : undefined;
    const found = (this.#scopesOfSums().get(module) ?? []).flatMap((node) => {
      if (node.opType !== operator) return [];
      return (node.input ?? []).flatMap((each) => {
        const stored = constantWeight(each, this.#index);
        return stored && isVector(stored) ? [{ node, stored }] : [];
      });
    });
    const [only, another] = found;
    if (!only || another) return undefined;
    const { stored, node } = only;
    const readers = [{ node, name: stored.name }];
    return { name, modulePath: module, layout: 'torch', torchDims: [sizeOf(stored.dims)], stored, readers };
  }

  #scopesOfSums(): ReadonlyMap<string, readonly NodeProto[]> {
    if (!this.#scopes) {
      const scopes = new Map<string, NodeProto[]>();
      for (const graph of allGraphs(this.#graph)) {
        for (const node of graph.node ?? []) {
          const scope = node.opType === 'Mul' || node.opType === 'Add' ? scopeOf(node) : undefined;
          if (scope !== undefined) append(scopes, scope, node);
        }
      }
      this.#scopes = scopes;
    }
    return this.#scopes;
  }
}

/** The modules that are a Conv1D in transformers (GPT-2, OpenAI GPT, ImageGPT, Decision Transformer). */
const CONV_1D = /(?:^|\.)(?:c_attn|q_attn|c_proj|c_fc)$/;

/**
 * The layout relative to torch's. transformers' Conv1D keeps `[in, out]`, and its Gemm reads the parameter by name. So
 * does the Gemm that an optimiser makes of a Linear, whose parameter is `[out, in]` in torch all the same.
 */
function layoutOf({ kind, path, node, weight: { layout, stored } }: Site): WeightLayout {
  const isConv1D =
    kind === 'linear' &&
    layout === 'in-out' &&
    node.opType === 'Gemm' &&
    stored.chain.length === 0 &&
    pathFromParameter(stored.name, 'weight') !== undefined &&
    CONV_1D.test(path);
  return isConv1D ? 'torch' : layout;
}

/** One value per channel; a scalar would be an epsilon. */
function isVector({ dims }: StoredWeight): boolean {
  return dims.filter((dim) => dim !== 1).length === 1;
}
