/** @file Values inside a graph as outputs. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexGraph } from '../../graph/walk.ts';
import { valueInfo } from '../../lora/valueInfo.ts';

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
