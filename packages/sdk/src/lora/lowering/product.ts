/** @file Lowering of low-rank products: a sum next to layers, DoRA within them, and weights of recurrent nodes. */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { addendInput, lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { float32 } from '../../runtime/tensor.ts';
import { kindOf } from '../kinds/table.ts';
import type { Lowering, EmitNode } from './lowering.ts';
import { type GraphScope, withoutInput } from './graphScope.ts';
import { type AdaptedLayer, type ProductForm, ProductServing, type ProductAdapter } from './productForm.ts';
import { ProductTraining } from './productTraining.ts';

/** Places products in a graph, for training and inference alike; {@link ProductForm} computes them. */
export class ProductLowering implements Lowering {
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  readonly dropped: ReadonlySet<NodeProto> = new Set();
  readonly beside: ReadonlyMap<NodeProto, EmitNode>;
  readonly #scope: GraphScope;
  readonly #at: ReadonlyMap<Site, ProductAdapter>;
  /** Layers of this graph with low-rank adapters, by their own nodes. */
  readonly #layers = new Map<NodeProto, AdaptedLayer>();
  readonly #form: ProductForm;

  constructor(scope: GraphScope, tunings: readonly ProductAdapter[]) {
    this.#scope = scope;
    this.#at = new Map(tunings.flatMap((each) => occurrencesOf(each.site).map((site) => [site, each] as const)));
    const recurrent = new Map<NodeProto, Site[]>();
    for (const site of this.#at.keys()) {
      const { node } = site;
      if (!scope.own.has(node)) continue;
      if (site.recurrent) recurrent.set(node, [...(recurrent.get(node) ?? []), site]);
      else this.#layers.set(node, [...(this.#layers.get(node) ?? []), site] as unknown as AdaptedLayer);
    }
    const layers = [...this.#layers.values()];
    this.#form = new (scope.training ? ProductTraining : ProductServing)(scope, this.#at, layers);
    this.replaced = new Map(
      [...recurrent].map(([node, sites]) => [
        node,
        (original, current) => this.#recurrent(scope.withInputs(original, current), sites),
      ]),
    );
    this.beside = new Map(
      layers.map((layer): [NodeProto, EmitNode] =>
        this.#isDora(layer)
          ? [layer[0].nodes.at(-1)!, (original, current) => this.#dora(original, current, layer)]
          : [lastNode(layer[0]), (original, current) => this.#lora(original, current, layer)],
      ),
    );
  }

  adapted({ node }: Site, product: Value): Value {
    const layer = this.#layers.get(node);
    if (!layer) return product;
    return this.#isDora(layer)
      ? this.#form.rescaled(product, layer)
      : this.#scope.g.Add(product, this.#form.product(layer));
  }

  #isDora(layer: AdaptedLayer): boolean {
    return layer.some((site) => this.#at.get(site)!.product.dora);
  }

  /** y + (x·A)·B, after the last node of a layer. */
  #lora(original: NodeProto, current: NodeProto, layer: AdaptedLayer): void {
    const scope = this.#scope;
    const [{ output }] = layer;
    const base = scope.emitRenamed(scope.withInputs(original, current), output);
    scope.nameLast(scope.g.Add(base, this.#form.product(layer)), output);
  }

  /** gain·(x·W + (x·A)·B) + bias, gain = magnitude ÷ ‖W + A·B‖ per output, the norm constant (arXiv 2402.09353). */
  #dora(original: NodeProto, current: NodeProto, layer: AdaptedLayer): void {
    const scope = this.#scope;
    const { g } = scope;
    const [site] = layer;
    const kind = kindOf(site);
    const read = scope.withInputs(original, current);
    const addend = addendInput(site);
    const name = addend === undefined ? site.bias?.inside && site.bias.name : site.node.input![addend];
    const isFirst = original === site.node;
    const bare = isFirst && addend !== undefined ? withoutInput(read, addend) : read;
    let product = scope.emitRenamed(bare, site.product);
    // Nodes after the layer's own, which round its product, already include the bias.
    if (!isFirst && name !== undefined) product = g.Sub(product, kind.outputBias(g, site, scope.read(name)));
    const sum = this.#form.rescaled(product, layer);
    if (name === undefined) return scope.nameLast(sum, site.product);
    const bias = kind.outputBias(g, site, scope.read(isFirst ? read.input![addend!]! : name));
    scope.nameLast(g.Add(sum, bias), site.product);
  }

  /** An LSTM or GRU that reads its weights plus the deltas, `[directions, gates · hidden, in]`. */
  #recurrent(node: NodeProto, sites: readonly Site[]): void {
    const scope = this.#scope;
    const { g } = scope;
    const input = [...(node.input ?? [])];
    for (const at of [1, 2]) {
      const own = sites.filter(({ recurrent }) => recurrent!.input === at);
      const [first] = own;
      if (!first) continue;
      const weight = scope.read(input[at]!);
      const { dims } = first.weight.stored;
      const none = (): Value => g.constant(float32(new Float32Array(dims[1]! * dims[2]!), [1, ...dims.slice(1)]));
      const deltas = Array.from({ length: dims[0]! }, (_, place) => {
        const site = own.find(({ recurrent }) => recurrent!.place === place);
        if (!site) return none();
        const [A, B] = (['lora_A', 'lora_B'] as const).map((role) => this.#form.factor(role, this.#at.get(site)!));
        return kindOf(site).product(g, site, weight, A!, B!);
      });
      const delta = deltas.length === 1 ? deltas[0]! : g.Concat(deltas, 0);
      input[at] = g.Add(weight, scope.as(delta, weight.type)).name;
    }
    g.nodes.push({ ...node, input });
    for (const name of node.output ?? []) scope.declare(name);
  }
}
