/**
 * @file The fused form of a graph: operators of ONNX Runtime that do the work of several. Layers emit those of attention
 * themselves, where the kernel can do what is asked for; norms behind sums are found in the finished graph.
 */

import type { Dim, GraphProto } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';

type NodeProto = NonNullable<GraphProto['node']>[number];
/** Tells a value's shape, where it is known. */
type ShapeOf = (name: string) => readonly Dim[] | undefined;

/** The domain of ONNX Runtime's own operators. */
export const RUNTIME = 'com.microsoft';

/** The operator of norms by the mean square. */
export const NORM = 'SimplifiedLayerNormalization';

const sources = new WeakMap<Value, Value>();

/** Remembers what a value was made of by turning it alone: heads before they were split. */
export function madeOf(value: Value, source: Value): Value {
  sources.set(value, source);
  return value;
}

/** What the value was made of; undefined where that is not remembered. */
export function sourceOf(value: Value): Value | undefined {
  return sources.get(value);
}

/** The nodes on which an output depends, in their order. */
export function needed(nodes: readonly NodeProto[], outputs: Iterable<string>): NodeProto[] {
  const wanted = new Set(outputs);
  const kept = nodes.toReversed().filter(({ input, output }) => {
    if (!output!.some((name) => wanted.has(name))) return false;
    for (const name of input!) wanted.add(name);
    return true;
  });
  return kept.reverse();
}

/**
 * Norms by the mean square of sums of two values of one shape, `[batch, length, width]`, as one operator that gives the sum
 * too. The same for norms by the deviation is slower than the two operators on a CPU, by a tenth of the model.
 */
export function withSkipNorms(
  nodes: readonly NodeProto[],
  shapeOf: ShapeOf,
  outputs: ReadonlySet<string>,
): NodeProto[] {
  const producers = new Map(nodes.flatMap((node) => node.output!.map((name) => [name, node] as const)));
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes) for (const name of node.input!) readers.set(name, [...(readers.get(name) ?? []), node]);
  const replacement = new Map<NodeProto, readonly NodeProto[]>();
  for (const norm of nodes) {
    const [sum, weight] = norm.input as [string, string];
    const add = producers.get(sum);
    // The sum appears where the norm stands: nothing may read it before.
    if (norm.opType !== NORM || add?.opType !== 'Add' || readers.get(sum)![0] !== norm) continue;
    const shapes = add.input!.map(shapeOf);
    if (shapes[0]?.length !== 3 || String(shapes[0]) !== String(shapes[1])) continue;
    const isReadOnce = readers.get(sum)!.length === 1 && !outputs.has(sum);
    const fused = {
      ...norm,
      opType: `Skip${NORM}`,
      domain: RUNTIME,
      input: [...add.input!, weight],
      output: isReadOnce ? norm.output! : [norm.output![0]!, '', '', sum],
      attribute: norm.attribute!.filter(({ name }) => name === 'epsilon'),
    };
    replacement.set(add, []).set(norm, [fused]);
  }
  return nodes.flatMap((node) => replacement.get(node) ?? [node]);
}
