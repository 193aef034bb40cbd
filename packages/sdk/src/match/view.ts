/** @file The model as site search sees it: functions inlined, fused operators with weights expanded. */

import { topologicallySorted } from '../graph/topologicalSort.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../graph/proto.ts';
import { uniqueNames, withInner } from '../graph/uniqueNames.ts';
import type { ValueType } from '../graph/value.ts';
import { type GraphIndex, indexWhole, readNames } from '../graph/walk.ts';
import { type Expansion, expandNode, isExpandable } from '../ops/expand/index.ts';
import { weightInputsOf } from '../ops/schema.ts';
import { inferGraph, opsetOf } from '../ops/inferGraph.ts';
import { inlineFunctions } from '../ops/functions/inlineFunctions.ts';
import { unpackProduct } from './packedProducts.ts';
import { constantWeight } from './weights/index.ts';

const PREFIX = 'expanded/';

/** Whether a value or constant comes from an expansion. */
export function isOfExpansion(name: string): boolean {
  return name.startsWith(PREFIX);
}

const tableInputs: Readonly<Record<string, readonly number[]>> = {
  EmbedLayerNormalization: [2],
  QEmbedLayerNormalization: [2],
  GatherBlockQuantized: [0],
};

const ownLayers: ReadonlySet<string> = new Set(['MatMulNBits', 'MatMulBnb4']);

interface Origin {
  readonly fused: readonly NodeProto[];
  readonly nodes: readonly NodeProto[];
}

/** Expansions by node: a side table, so that graph edits need not know of it. */
const origins = new WeakMap<NodeProto, Origin>();

/**
 * Prepares a model for site search: inlines functions, sorts nodes, makes value names unique across subgraphs, and
 * expands operators with weights inside. Unchanged nodes and tensors are shared with the file.
 */
export function prepareForMatching(
  model: ModelProto & { readonly graph: GraphProto },
): ModelProto & { graph: GraphProto } {
  const inlined = (model.functions ?? []).length > 0 ? inlineFunctions(model) : model;
  const graph = uniqueNames(topologicallySorted(inlined.graph ?? {}));
  const unique = { ...inlined, graph };
  const index = indexWhole(graph);
  if (!hidesLayers(graph, index)) return unique;
  const initializers: TensorProto[] = [];
  const context = { types: inferGraph(unique), constants: index.constants, opset: opsetOf(unique) };
  const expanded = expandGraph(graph, index, context, initializers);
  return { ...unique, graph: { ...expanded, initializer: [...(expanded.initializer ?? []), ...initializers] } };
}

/**
 * Expands the fused operators that `isWanted` selects, recursively, for code that handles standard operators only, such
 * as differentiation. Adds the types of new values to `types`.
 */
export function expandOperators(
  model: ModelProto & { readonly graph: GraphProto },
  types: Map<string, ValueType>,
  isWanted: (node: NodeProto) => boolean,
): ModelProto & { graph: GraphProto } {
  const context = { types, constants: indexWhole(model.graph).constants, opset: opsetOf(model) };
  const initializers: TensorProto[] = [];
  const taken = (node: NodeProto): readonly NodeProto[] => {
    const own = withInner(node, expand);
    const isAsked = isWanted(own);
    const parts = isAsked && isExpandable(own) ? takenApart(own, context, initializers) : undefined;
    if (!parts) return [own];
    for (const [name, type] of parts.types) types.set(name, type);
    return parts.nodes.flatMap(taken);
  };
  const expand = (graph: GraphProto): GraphProto => ({ ...graph, node: (graph.node ?? []).flatMap(taken) });
  const graph = expand(model.graph);
  return { ...model, graph: { ...graph, initializer: [...(graph.initializer ?? []), ...initializers] } };
}

type Context = Omit<Parameters<typeof expandNode>[1], 'prefix'>;

function hidesLayers({ node = [] }: GraphProto, index: GraphIndex): boolean {
  return node.some((each) => {
    if (isHiding(each, index) || mayBePacked(each, index)) return true;
    let inside = false;
    withInner(each, (graph) => {
      inside ||= hidesLayers(graph, index);
      return graph;
    });
    return inside;
  });
}

function mayBePacked({ opType, output }: NodeProto, index: GraphIndex): boolean {
  return opType === 'MatMul' && index.uses.get(output?.[0] ?? '')?.[0]?.node.opType === 'Split';
}

function isHiding(node: NodeProto, index: GraphIndex): boolean {
  const { opType = '' } = node;
  if (ownLayers.has(opType) || !isExpandable(node)) return false;
  return (tableInputs[opType] ?? weightInputsOf(node)).some((at) => {
    const name = node.input?.[at];
    return name !== undefined && (index.constants.has(name) || constantWeight(name, index) !== undefined);
  });
}

function expandGraph(graph: GraphProto, index: GraphIndex, context: Context, initializers: TensorProto[]): GraphProto {
  const rankOf = (value: string): number | undefined => context.types.get(value)?.shape?.length;
  const present = new Set(graph.node);
  const unpacked = new Set<NodeProto>();
  return {
    ...graph,
    node: (graph.node ?? []).flatMap((node) => {
      if (unpacked.has(node)) return [];
      const prefix = `${PREFIX}${node.output?.[0] ?? ''}/`;
      const packed = unpackProduct(node, index, { opset: context.opset, prefix, rankOf });
      if (packed && present.has(packed.packed[1])) {
        unpacked.add(packed.packed[1]);
        initializers.push(...packed.initializers);
        return remembered(packed.packed, packed.nodes);
      }
      const own = withInner(node, (inner) => expandGraph(inner, index, context, initializers));
      const parts = isHiding(own, index) ? takenApart(own, context, initializers) : undefined;
      return parts ? remembered([own], parts.nodes) : [own];
    }),
  };
}

function remembered(fused: readonly NodeProto[], nodes: readonly NodeProto[]): readonly NodeProto[] {
  const origin = { fused, nodes };
  for (const each of nodes) origins.set(each, origin);
  return nodes;
}

function takenApart(node: NodeProto, context: Context, initializers: TensorProto[]): Expansion | undefined {
  // The first output's name is unique in the graph; a node's may not be.
  const prefix = `${PREFIX}${node.output!.find(Boolean)}/`;
  const expansion = expandNode(node, { ...context, prefix });
  initializers.push(...(expansion?.initializers ?? []));
  return expansion;
}

/** The fused operator that a node was expanded from. */
export function fusedFrom(node: NodeProto): NodeProto | undefined {
  return origins.get(node)?.fused[0];
}

/** Restores operators with unchanged expansions, and drops constants that only expansions used. */
export function refold(model: ModelProto): ModelProto {
  const { graph } = model;
  if (!graph) return model;
  const folded = refoldGraph(graph, indexWhole(graph));
  if (folded === graph) return model;
  const read = new Set((folded.node ?? []).flatMap(readNames));
  const initializer = (folded.initializer ?? []).filter(({ name = '' }) => !isOfExpansion(name) || read.has(name));
  return { ...model, graph: { ...folded, initializer } };
}

function refoldGraph(graph: GraphProto, index: GraphIndex): GraphProto {
  const present = new Set(graph.node);
  const done = new Set<Origin>();
  let isSame = true;
  const node = (graph.node ?? []).flatMap((each) => {
    const inner = withInner(each, (own) => refoldGraph(own, index));
    if (inner !== each) isSame = false;
    const origin = origins.get(each);
    if (!origin?.nodes.every((part) => present.has(part)) || isReadInside(origin, index)) return [inner];
    isSame = false;
    if (done.has(origin)) return [];
    done.add(origin);
    return origin.fused;
  });
  return isSame ? graph : { ...graph, node };
}

/** Whether nodes outside an expansion read its intermediate values. */
function isReadInside({ fused, nodes }: Origin, { uses, outputs }: GraphIndex): boolean {
  const own = new Set(nodes);
  const yielded = new Set(fused.flatMap(({ output = [] }) => output));
  return nodes.some(({ output = [] }) =>
    output.some(
      (name) => !yielded.has(name) && (outputs.has(name) || uses.get(name)?.some(({ node }) => !own.has(node))),
    ),
  );
}
