/** @file Replaces products in a graph by those of quantised weights. */

import type { Bytes } from '../../graph/bytes.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { freePrefix, withInner } from '../../graph/uniqueNames.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { refold } from '../../match/view.ts';
import { withContrib } from '../../ops/domains.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import {
  type ProductSite,
  type QuantizedForm,
  type QuantizedMatrix,
  QuantizedProducts,
} from '../../ops/quantization/forms.ts';
import type { Rows } from '../../ops/quantization/blocks.ts';
import { dropUnreadInitializers, reachable } from '../../ops/rewrites/simplify.ts';
import { kindOf } from '../../lora/kinds/table.ts';

/** Tensors of a quantised matrix. */
export type MatrixTensors = QuantizedMatrix['tensors'];

/** A linear weight as `[out, width]`, an embedding as stored. */
export function rowsOf(site: Site): Rows {
  const values = site.weight.stored.read();
  const [rows, columns] = site.weightShape as [number, number];
  if (site.kind === 'embedding') return { values, out: rows, width: columns };
  const { out, width, layout } = kindOf(site).matrix(site);
  if (layout !== 'in-out') return { values, out, width };
  const turned = new Float32Array(values.length);
  for (let i = 0; i < width; i++) for (let row = 0; row < out; row++) turned[row * width + i] = values[i * out + row]!;
  return { values: turned, out, width };
}

/** A site's product with a quantised matrix, or its lookup of rows. */
export function productOf(site: Site, tensors: MatrixTensors): ProductSite {
  const [out, width] = site.weightShape as [number, number];
  return { node: site.node, x: site.node.input![site.kind === 'embedding' ? 1 : 0]!, out, width, tensors };
}

/** Quantises these layers in the graph. Nodes keep the names that give modules their paths. */
export function quantizedGraph(
  model: ModelProto & { readonly graph: GraphProto },
  layers: ReadonlyMap<Site, MatrixTensors>,
  form: QuantizedForm,
): ModelProto & { readonly graph: GraphProto } {
  const sites = new Map<NodeProto, ProductSite>();
  for (const [site, tensors] of layers)
    for (const place of occurrencesOf(site)) sites.set(place.node, productOf(place, tensors));
  const prefix = freePrefix(model.graph, 'quantized');
  let graphs = 0;
  const rewritten = (graph: GraphProto): GraphProto => {
    const products = new QuantizedProducts(form, opsetOf(model), `${prefix}/${graphs++}/`);
    const node = (graph.node ?? []).flatMap((each) => {
      const site = sites.get(each);
      return site ? products.nodes(site) : [withInner(each, rewritten)];
    });
    const outputs = (graph.output ?? []).map(({ name = '' }) => name);
    return {
      ...graph,
      node: reachable(node, outputs),
      initializer: [...(graph.initializer ?? []), ...products.constants],
    };
  };
  const graph = rewritten(model.graph);
  const added = new Map([...layers.values()].flatMap(tensorsOf).map((tensor) => [tensor.name, tensor]));
  const whole = { ...graph, initializer: [...(graph.initializer ?? []), ...added.values()] };
  const folded = refold({ ...model, graph: dropUnreadInitializers(whole), opsetImport: withContrib(model) });
  return { ...folded, graph: folded.graph! };
}

export function tensorsOf({ codes, scales, zeros }: MatrixTensors): TensorProto[] {
  return [codes, scales, ...(zeros ? [zeros] : [])];
}

function mapped({ codes, scales, zeros }: MatrixTensors, change: (tensor: TensorProto) => TensorProto): MatrixTensors {
  return { codes: change(codes), scales: change(scales), ...(zeros ? { zeros: change(zeros) } : {}) };
}

/** Moves the bytes elsewhere. */
export function withBytes(tensors: MatrixTensors, move: (bytes: Bytes) => Bytes): MatrixTensors {
  return mapped(tensors, (tensor) => ({ ...tensor, rawData: move(tensor.rawData!) }));
}

/** Names the tensors after a weight. */
export function withNames(tensors: MatrixTensors, weight: string): MatrixTensors {
  return mapped(tensors, (tensor) => ({ ...tensor, name: `${weight}${tensor.name}` }));
}
