/** @file Inner values of a graph: as outputs, as origins of outputs, and attention weights. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexGraph, allGraphs, indexWhole, subgraphs } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';

/**
 * Appends inner values to the outputs.
 * @param name the model's name for errors
 * @throws OnnxLoraError `INPUT_INVALID` for a value that the main graph lacks
 */
export function withInnerOutputs<M extends ModelProto & { readonly graph: GraphProto }>(
  model: M,
  values: readonly string[],
  types: ReadonlyMap<string, ValueType>,
  name: string,
): M {
  const { graph } = model;
  requireComputed(graph, values, name);
  const { outputs } = indexGraph(graph);
  const added = [...new Set(values)].filter((value) => !outputs.has(value));
  const infos = added.map((value) => {
    const { type, shape } = types.get(value) ?? {};
    return valueInfo(value, type, shape);
  });
  return { ...model, graph: { ...graph, output: [...(graph.output ?? []), ...infos] } };
}

/**
 * Checks that nodes of the main graph compute these values.
 * @param name the model's name for errors
 * @throws OnnxLoraError `INPUT_INVALID` if not
 */
export function requireComputed(graph: GraphProto, values: readonly string[], name: string): void {
  const { producer } = indexGraph(graph);
  const strange = values.find((value) => !producer.has(value));
  if (strange === undefined) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `"${name}" computes no value "${strange}", so it cannot be an output. Name the output of one of its nodes.`,
  );
}

/** The input of the Slice that computes an output. SAM's exported decoder slices its first mask off the output. */
export function slicedFrom(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker?.opType === 'Slice' ? maker.input?.[0] : undefined;
}

const sameIds = new Set(['Cast', 'Reshape', 'Identity', 'Flatten', 'Squeeze', 'Unsqueeze']);
const lookups = new Set(['Gather', 'GatherBlockQuantized']);

/** The embeddings looked up by the ids of an input; undefined if there are none. */
export function lookupOf({ node: nodes = [] }: GraphProto, input: string): string | undefined {
  const ids = new Set([input]);
  // Nodes are in topological order.
  for (const { opType = '', input: read = [], output = [] } of nodes) {
    if (sameIds.has(opType) && ids.has(read[0] ?? '')) ids.add(output[0]!);
    if (lookups.has(opType) && ids.has(read[1] ?? '')) return output[0];
  }
  return undefined;
}

const probabilities = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);

/** The input of the Softmax, LogSoftmax or Sigmoid that computes an output; undefined if none does. */
export function logitsOf(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker && probabilities.has(maker.opType ?? '') ? maker.input?.[0] : undefined;
}

/** The node that computes a value, through Identity nodes. */
function makerOf({ node = [] }: GraphProto, value: string): NodeProto | undefined {
  let wanted: string | undefined = value;
  // Bounded: nodes of a broken file may form a cycle.
  for (let steps = 0; steps < node.length; steps++) {
    const maker = node.find((each) => wanted !== undefined && each.output?.includes(wanted));
    if (maker?.opType !== 'Identity') return maker;
    wanted = maker.input?.[0];
  }
  return undefined;
}

/** Operators between keys and weights: they split heads, scale keys, multiply with queries and mask. */
const between = new Set([
  'Identity', 'Cast', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Split', 'Slice', 'Concat', 'Expand',
  'Add', 'Sub', 'Mul', 'Div', 'Where', 'Max', 'MatMul', 'Gemm', 'If',
]); // prettier-ignore

/** Output of the first Softmax that depends on a layer's output `keys`, unless fused or not in the main graph. */
export function attentionBehind(graph: GraphProto, keys: string): string | undefined {
  const { uses } = indexWhole(graph);
  const { producer } = indexGraph(graph);
  const given = givenByBranches(graph);
  const known = new Set([keys]);
  // Breadth first: a Set iterates over members added meanwhile.
  for (const value of known) {
    for (const next of given.get(value) ?? []) known.add(next);
    for (const { node } of uses.get(value) ?? []) {
      const { opType = '', output = [] } = node;
      if (opType === 'Softmax') return producer.has(output[0]!) ? output[0] : undefined;
      if (between.has(opType)) for (const name of output) if (name) known.add(name);
    }
  }
  return undefined;
}

/** The outputs of Ifs by those of their branches. */
function givenByBranches(graph: GraphProto): ReadonlyMap<string, readonly string[]> {
  const given = new Map<string, string[]>();
  const add = (node: NodeProto): void => {
    for (const branch of subgraphs(node)) {
      branch.output?.forEach(({ name = '' }, i) => {
        const own = node.output?.[i];
        if (own) given.set(name, [...(given.get(name) ?? []), own]);
      });
    }
  };
  for (const { node = [] } of allGraphs(graph)) for (const each of node) if (each.opType === 'If') add(each);
  return given;
}
