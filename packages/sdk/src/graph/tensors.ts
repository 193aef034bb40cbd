/** @file Iterating over and replacing all tensors of a graph. */

import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from './proto.ts';

/** All tensors of a graph without subgraphs: initializers, sparse initializers and tensor attributes. */
export function tensorsOf(graph: GraphProto): TensorProto[] {
  return [
    ...(graph.initializer ?? []),
    ...(graph.sparseInitializer ?? []).flatMap(partsOf),
    ...(graph.node ?? []).flatMap(({ attribute = [] }) => attribute.flatMap(attributeTensors)),
  ];
}

function attributeTensors({ t, tensors = [], sparseTensor, sparseTensors = [] }: AttributeProto): TensorProto[] {
  return [...(t ? [t] : []), ...tensors, ...(sparseTensor ? partsOf(sparseTensor) : []), ...sparseTensors.flatMap(partsOf)]; // prettier-ignore
}

function partsOf({ values, indices }: SparseTensorProto): TensorProto[] {
  return [...(values ? [values] : []), ...(indices ? [indices] : [])];
}

/** A copy of the model with every tensor replaced, in subgraphs and functions too; the rest is shared. */
export function withTensors(model: ModelProto, exchange: (tensor: TensorProto) => TensorProto): ModelProto {
  const sparse = (tensor: SparseTensorProto): SparseTensorProto => ({
    ...tensor,
    ...(tensor.values ? { values: exchange(tensor.values) } : {}),
    ...(tensor.indices ? { indices: exchange(tensor.indices) } : {}),
  });
  const attribute = (each: AttributeProto): AttributeProto => ({
    ...each,
    ...(each.t ? { t: exchange(each.t) } : {}),
    ...(each.tensors ? { tensors: each.tensors.map(exchange) } : {}),
    ...(each.sparseTensor ? { sparseTensor: sparse(each.sparseTensor) } : {}),
    ...(each.sparseTensors ? { sparseTensors: each.sparseTensors.map(sparse) } : {}),
    ...(each.g ? { g: graph(each.g) } : {}),
    ...(each.graphs ? { graphs: each.graphs.map(graph) } : {}),
  });
  const node = (each: NodeProto): NodeProto =>
    each.attribute?.some(holdsTensors) ? { ...each, attribute: each.attribute.map(attribute) } : each;
  const graph = (each: GraphProto): GraphProto => ({
    ...each,
    ...(each.node ? { node: each.node.map(node) } : {}),
    ...(each.initializer ? { initializer: each.initializer.map(exchange) } : {}),
    ...(each.sparseInitializer ? { sparseInitializer: each.sparseInitializer.map(sparse) } : {}),
  });
  const body = (each: FunctionProto): FunctionProto => (each.node ? { ...each, node: each.node.map(node) } : each);
  return {
    ...model,
    ...(model.graph ? { graph: graph(model.graph) } : {}),
    ...(model.functions ? { functions: model.functions.map(body) } : {}),
  };
}

function holdsTensors({ t, tensors, sparseTensor, sparseTensors, g, graphs }: AttributeProto): boolean {
  return [t, tensors, sparseTensor, sparseTensors, g, graphs].some((part) => part !== undefined);
}
