/** @file Adds what a batch brings to values inside the graph, such as noise to embeddings. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { formatShape, type ValueType } from '../../graph/value.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/** What a target is called as an input of the graph. */
export function targetInput(target: string): string {
  return `target/${target}`;
}

/**
 * The model in which whatever reads a value reads its sum with a target. Types of what is added are noted.
 *
 * @param added values by the names of targets; those that the batch does not have are left out
 * @throws OnnxLoraError `PLUGIN_INVALID` for a value that the main graph does not compute, or of another shape
 */
export function withAdded(
  model: ModelProto,
  types: Map<string, ValueType>,
  targets: Feeds,
  added: Readonly<Record<string, string>>,
): ModelProto {
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: 'added/' });
  let nodes = model.graph?.node ?? [];
  for (const [target, value] of Object.entries(added)) {
    const given = targets[target];
    if (!given) continue;
    const own = types.get(value);
    const at = nodes.findIndex(({ output }) => output?.includes(value));
    if (at < 0 || own?.shape?.join() !== given.dims.join()) {
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Task author: the target "${target}" of shape ${formatShape(given.dims)} cannot be added to "${value}"${at < 0 ? ', which no node of the main graph computes' : ` of shape ${formatShape(own?.shape)}`}. Name a value inside the graph, and give a number for each of it.`,
      );
    }
    const before = g.nodes.length;
    const input = { name: targetInput(target), type: given.type, shape: given.dims };
    const sum = g.Add({ name: value, ...own }, given.type === own.type ? input : g.Cast(input, dataTypeNumber(own.type ?? 'float32'))); // prettier-ignore
    const reading = nodes.map((node): NodeProto => {
      const reads = node.input?.includes(value) ?? false;
      return reads ? { ...node, input: node.input!.map((name) => (name === value ? sum.name : name)) } : node;
    });
    nodes = [...reading.slice(0, at + 1), ...g.nodes.slice(before), ...reading.slice(at + 1)];
    types.set(input.name, input);
  }
  for (const [name, type] of g.types) types.set(name, type);
  return g.nodes.length === 0 ? model : { ...model, graph: { ...model.graph, node: nodes } };
}
