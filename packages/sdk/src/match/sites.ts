/** @file Finds the places of a graph that can be adapted: linear layers, convolutions, embeddings. */

import type { GraphProto, NodeProto, TensorProto } from '../graph/proto.ts';
import { dataTypeName } from '../graph/dataType.ts';
import { type GraphIndex, indexGraph, intAttribute } from '../graph/walk.ts';
import { type PathSource, pathFromNodeName, pathFromParameter, pathFromScopes } from './modulePath.ts';

/** What kind of torch module a site is. */
export type SiteKind = 'linear' | 'conv1d' | 'conv2d' | 'embedding';

/** How the graph stores the weight, compared with torch: `[out, in]` as torch's Linear does, or transposed. */
export type WeightLayout = 'out-in' | 'in-out' | 'torch';

/** One adaptable layer. */
export interface Site {
  /** torch's module path, against which PEFT's target rules are matched. */
  readonly path: string;
  readonly pathSource: PathSource;
  readonly kind: SiteKind;
  /** The MatMul, Gemm, Conv or Gather. */
  readonly node: NodeProto;
  /** Value that the layer reads: `[..., in]` for a linear layer. */
  readonly input: string;
  /** Value that the layer yields, its bias added: `[..., out]`. */
  readonly output: string;
  readonly weight: { readonly name: string; readonly layout: WeightLayout; readonly tensor: TensorProto };
  /** The bias, and the node that adds it (the Gemm or Conv itself, or an Add behind a MatMul). */
  readonly bias?: { readonly name: string; readonly tensor: TensorProto; readonly node: NodeProto };
  /** Shape of the weight as torch has it: `[out, in]`, `[out, in / groups, ...kernel]`, `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
}

/** Finds all sites of the main graph, in graph order. */
export function findSites(graph: GraphProto): Site[] {
  const index = indexGraph(graph);
  const sites: Site[] = [];
  for (const node of graph.node ?? []) {
    const layer = linear(node, index) ?? gemm(node, index) ?? conv(node, index) ?? embedding(node, index);
    if (layer) sites.push(named(layer, index));
  }
  return sites;
}

type Layer = Omit<Site, 'path' | 'pathSource'>;

function floatConstant(name: string | undefined, index: GraphIndex): TensorProto | undefined {
  const tensor = name ? index.constants.get(name) : undefined;
  const type = tensor && dataTypeName(tensor.dataType);
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64' ? tensor : undefined;
}

function linear(node: NodeProto, index: GraphIndex): Layer | undefined {
  if (node.opType !== 'MatMul') return undefined;
  const [input, weightName] = node.input ?? [];
  const tensor = floatConstant(weightName, index);
  if (!input || !weightName || tensor?.dims?.length !== 2 || index.constants.has(input)) return undefined;
  const [rows, columns] = tensor.dims as [number, number];
  const bias = addedBias(node.output![0]!, columns, index);
  return {
    kind: 'linear',
    node,
    input,
    output: bias?.node.output?.[0] ?? node.output![0]!,
    weight: { name: weightName, layout: 'in-out', tensor },
    ...(bias ? { bias } : {}),
    weightShape: [columns, rows],
  };
}

/** The Add behind a MatMul whose other operand is a constant `[out]`, when it alone reads the product. */
function addedBias(product: string, out: number, index: GraphIndex): Site['bias'] | undefined {
  const [use, another] = index.uses.get(product) ?? [];
  if (!use || another || use.node.opType !== 'Add' || index.outputs.has(product)) return undefined;
  const name = use.node.input?.[1 - use.index];
  const tensor = floatConstant(name, index);
  return name && tensor?.dims?.length === 1 && tensor.dims[0] === out ? { name, tensor, node: use.node } : undefined;
}

function gemm(node: NodeProto, index: GraphIndex): Layer | undefined {
  if (node.opType !== 'Gemm' || intAttribute(node, 'transA', 0) === 1) return undefined;
  const [input, weightName, biasName] = node.input ?? [];
  const tensor = floatConstant(weightName, index);
  if (!input || !weightName || tensor?.dims?.length !== 2 || index.constants.has(input)) return undefined;
  const transposed = intAttribute(node, 'transB', 0) === 1;
  const [rows, columns] = tensor.dims as [number, number];
  const bias = floatConstant(biasName, index);
  return {
    kind: 'linear',
    node,
    input,
    output: node.output![0]!,
    weight: { name: weightName, layout: transposed ? 'out-in' : 'in-out', tensor },
    ...(bias ? { bias: { name: biasName!, tensor: bias, node } } : {}),
    weightShape: transposed ? [rows, columns] : [columns, rows],
  };
}

function conv(node: NodeProto, index: GraphIndex): Layer | undefined {
  if (node.opType !== 'Conv') return undefined;
  const [input, weightName, biasName] = node.input ?? [];
  const tensor = floatConstant(weightName, index);
  const rank = tensor?.dims?.length;
  if (!input || !weightName || (rank !== 3 && rank !== 4)) return undefined;
  const bias = floatConstant(biasName, index);
  return {
    kind: rank === 3 ? 'conv1d' : 'conv2d',
    node,
    input,
    output: node.output![0]!,
    weight: { name: weightName, layout: 'torch', tensor: tensor! },
    ...(bias ? { bias: { name: biasName!, tensor: bias, node } } : {}),
    weightShape: tensor!.dims!,
  };
}

function embedding(node: NodeProto, index: GraphIndex): Layer | undefined {
  if (node.opType !== 'Gather' || intAttribute(node, 'axis', 0) !== 0) return undefined;
  const [weightName, input] = node.input ?? [];
  const tensor = floatConstant(weightName, index);
  // Constant indices are positions or relative biases, not tokens that a user feeds.
  if (!input || !weightName || tensor?.dims?.length !== 2 || index.constants.has(input)) return undefined;
  return {
    kind: 'embedding',
    node,
    input,
    output: node.output![0]!,
    weight: { name: weightName, layout: 'torch', tensor },
    weightShape: tensor.dims,
  };
}

function named(layer: Layer, index: GraphIndex): Site {
  const weightPath = pathFromParameter(layer.weight.name, 'weight');
  const shared = (index.uses.get(layer.weight.name)?.length ?? 0) > 1;
  const candidates: readonly (readonly [PathSource, string | undefined])[] = [
    ['name-scopes', pathFromScopes(layer.node)],
    // A parameter that one node alone reads keeps torch's own name; a shared one may carry another module's.
    ['weight-name', shared ? undefined : weightPath],
    ['node-name', pathFromNodeName(layer.node.name)],
    ['weight-name', weightPath],
    ['bias-name', layer.bias && pathFromParameter(layer.bias.name, 'bias')],
    ['value-name', layer.node.name || layer.node.output![0]!],
  ];
  const [pathSource, path] = candidates.find(([, candidate]) => candidate !== undefined)!;
  return { ...layer, path: path!, pathSource };
}
