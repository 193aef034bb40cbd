/** @file Finds torch's parameters in a graph. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { allGraphs, append, type GraphIndex, indexWhole } from '../../graph/walk.ts';
import type { ParameterReader, TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { occurrencesOf, type Site, type WeightLayout } from '../../match/sites.ts';
import { pathFromParameter, scopeOf } from '../../match/modulePath.ts';
import { constantWeight, type StoredWeight } from '../../match/weights/index.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Finds parameters by torch's names. Indexes the graph once. */
export class ParameterFinder {
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #index: GraphIndex;
  readonly #graph: GraphProto;
  #scopes: ReadonlyMap<string, readonly NodeProto[]> | undefined;

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
    const readers = (this.#index.uses.get(name) ?? []).map(({ node }) => ({ node, name }));
    if (stored) return { name, modulePath: module, layout: 'torch', stored, readers };
    return this.#anonymous(name, module, parameter);
  }

  /** All of torch's parameters called `bias`: of layers, of named values, then of decomposed normalisations. */
  biases(): TrainedParameter[] {
    // Equal parameters may be stored once and copied by nodes.
    const values = [...this.#index.constants.keys(), ...this.#index.producer.keys()];
    const named = values.flatMap((name) => pathFromParameter(name, 'bias') ?? []);
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
