/** @file Values inside a graph as outputs, and those that outputs are made of. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexGraph } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';

/**
 * The model with more of its values as outputs, behind its own.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for a value that the main graph does not have; `name` is what the user calls the model
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
 * Nodes of the main graph give these values.
 *
 * @throws OnnxLoraError `INPUT_INVALID` where they do not; `name` is what the user calls the model
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

/**
 * The value that a Slice cuts an output from; undefined where the output is not cut from anything.
 *
 * SAM's decoder makes four masks for a prompt, and its export leaves out the first, which is the one for prompts that can mean
 * only one thing.
 */
export function slicedFrom(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker?.opType === 'Slice' ? maker.input?.[0] : undefined;
}

/** Operators that hand on ids, in another form. */
const sameIds = new Set(['Cast', 'Reshape', 'Identity', 'Flatten', 'Squeeze', 'Unsqueeze']);
const lookups = new Set(['Gather', 'GatherBlockQuantized']);

/** The rows of a table that ids of an input are looked up in, such as the embeddings of tokens; undefined where none are. */
export function lookupOf({ node: nodes = [] }: GraphProto, input: string): string | undefined {
  const ids = new Set([input]);
  // In a graph that runs, nodes stand behind what they read.
  for (const { opType = '', input: read = [], output = [] } of nodes) {
    if (sameIds.has(opType) && ids.has(read[0] ?? '')) ids.add(output[0]!);
    if (lookups.has(opType) && ids.has(read[1] ?? '')) return output[0];
  }
  return undefined;
}

const probabilities = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);

/** The scores of which a Softmax, LogSoftmax or Sigmoid makes an output; undefined where none does. */
export function logitsOf(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker && probabilities.has(maker.opType ?? '') ? maker.input?.[0] : undefined;
}

/** The node that computes a value, copies aside. */
function makerOf({ node = [] }: GraphProto, value: string): NodeProto | undefined {
  let wanted: string | undefined = value;
  // Not for ever: nodes of a broken file may read each other in a circle.
  for (let steps = 0; steps < node.length; steps++) {
    const maker = node.find((each) => wanted !== undefined && each.output?.includes(wanted));
    if (maker?.opType !== 'Identity') return maker;
    wanted = maker.input?.[0];
  }
  return undefined;
}
