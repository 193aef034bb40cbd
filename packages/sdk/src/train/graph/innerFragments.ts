/** @file Replaces values inside the graph, such as embeddings by noisy ones. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { formatShape, type ValueType } from '../../graph/value.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/** Name of a target as an input of the graph. */
export function targetInput(target: string): string {
  return `target/${target}`;
}

/** Values that an {@link InnerFragment} may read. */
export interface InnerSite {
  /** The batch's targets by name. */
  readonly targets: Readonly<Record<string, Value>>;
  /** Other values that precede this one, with shapes for the batch. */
  readonly value: (name: string) => Value;
}

/** Emits a replacement of the same type and shape for a value inside the graph, or returns it unchanged. */
export type InnerFragment = (g: GraphBuilder, own: Value, site: InnerSite) => Value;

/**
 * Replaces values for all their readers, and notes the types of emitted ones.
 * @throws OnnxLoraError `PLUGIN_INVALID` for a value outside the main graph, or a replacement of another shape
 */
export function replaceInnerValues(
  model: ModelProto,
  types: Map<string, ValueType>,
  targets: Feeds,
  inside: Readonly<Record<string, InnerFragment>>,
): ModelProto {
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: 'inside/' });
  const fed = Object.fromEntries(
    Object.entries(targets).map(([name, { type, dims }]) => [name, { name: targetInput(name), type, shape: dims }]),
  );
  const value = (name: string): Value => ({ name, ...types.get(name) });
  let nodes = model.graph?.node ?? [];
  for (const [name, fragment] of Object.entries(inside)) {
    const at = nodes.findIndex(({ output }) => output?.includes(name));
    const before = g.nodes.length;
    const own = value(name);
    const made = at < 0 ? undefined : fragment(g, own, { targets: fed, value });
    if (made === own) continue;
    if (!made || made.type !== own.type || made.shape?.join() !== own.shape?.join()) {
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `Task author: ${made ? `what is read in place of "${name}" is ${made.type} ${formatShape(made.shape)}, and "${name}" ${own.type} ${formatShape(own.shape)}` : `no node of the main graph computes "${name}"`}. Name a value inside the graph, and give another of its type and shape.`,
      );
    }
    const reading = nodes.map((node): NodeProto => {
      const reads = node.input?.includes(name) ?? false;
      return reads ? { ...node, input: node.input!.map((each) => (each === name ? made.name : each)) } : node;
    });
    nodes = [...reading.slice(0, at + 1), ...g.nodes.slice(before), ...reading.slice(at + 1)];
  }
  if (g.nodes.length === 0) return model;
  for (const each of Object.values(fed)) types.set(each.name, each);
  for (const [name, type] of g.types) types.set(name, type);
  const initializer = [...(model.graph?.initializer ?? []), ...g.initializers];
  return { ...model, graph: { ...model.graph, node: nodes, initializer } };
}
