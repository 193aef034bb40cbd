/** @file A task's loss as a separate graph, fed with a model's outputs and the targets. */

import type { Feeds, Model } from '@onnx-lora/sdk';
import { dataTypeNumber, inferNode, type ModelProto } from '@onnx-lora/sdk/plugin';
import { GraphBuilder, type PreparedTask, type Value } from '@onnx-lora/sdk/tasks';

/** Prefix of the graph's inputs that are outputs of the model. */
export const OUTPUT = 'output/';
/** Prefix of the graph's inputs that are targets. */
export const TARGET = 'target/';

/** Feeds of a loss graph. */
export function lossFeeds(outputs: Feeds, targets: Feeds): Feeds {
  const named = ([prefix, tensors]: readonly [string, Feeds]): [string, Feeds[string]][] =>
    Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]);
  return Object.fromEntries([[OUTPUT, outputs] as const, [TARGET, targets] as const].flatMap(named));
}

/** The loss graph for feeds of these shapes. */
export function lossGraph({ onnx, opset }: Model, data: PreparedTask, feeds: Feeds): ModelProto {
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'loss/' });
  const all = Object.entries(feeds);
  const values = (prefix: string): Record<string, Value> => {
    const own = all.filter(([name]) => name.startsWith(prefix));
    return Object.fromEntries(
      own.map(([name, { type, dims }]) => [name.slice(prefix.length), { name, type, shape: dims }]),
    );
  };
  // The loss may be an output itself, and a graph must not return an input.
  const loss = g.Identity(data.loss(g, values(OUTPUT), values(TARGET)));
  const input = all.map(([name, { type, dims }]) => {
    const shape = { dim: dims.map((dimValue) => ({ dimValue })) };
    return { name, type: { tensorType: { elemType: dataTypeNumber(type), shape } } };
  });
  const graph = { name: 'loss', node: g.nodes, initializer: g.initializers, input, output: [{ name: loss.name }] };
  return { ...onnx.model, graph };
}
