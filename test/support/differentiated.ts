/** @file Builds a small graph with its gradients, for tests that look at the emitted nodes or at exact values. */

import { type Backward, differentiate } from '../../packages/sdk/src/autodiff/backward.ts';
import { GraphBuilder, type Value } from '../../packages/sdk/src/graph/builder.ts';
import type { ModelProto } from '../../packages/sdk/src/graph/proto.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import type { Feeds, Tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { modelOf, runOnce } from './graphs.ts';

/** A graph and its gradients. */
export interface Differentiated {
  /** Outputs: the loss, then the gradients. */
  readonly model: ModelProto;
  readonly backward: Backward;
  /** The emitted gradient nodes as text, one a line: `Mul(dy, x) → g/Mul_0`. */
  readonly text: string;
}

/**
 * Differentiates what `build` emits.
 *
 * @param shapes shapes of the float32 inputs by name
 * @param wrt names of the inputs to differentiate by
 * @param build emits the graph from its inputs and returns the loss, a scalar
 * @param recomputed names of values that the gradient computes again
 */
export function differentiated(
  shapes: Readonly<Record<string, readonly number[]>>,
  wrt: readonly string[],
  build: (g: GraphBuilder, inputs: Readonly<Record<string, Value>>) => Value,
  opset = 18,
  recomputed: ReadonlySet<string> = new Set(),
): Differentiated {
  const inputs = Object.entries(shapes).map(([name, shape]): Value => ({ name, type: 'float32', shape }));
  const f = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
  const loss = build(f, Object.fromEntries(inputs.map((value) => [value.name, value])));
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'g/' });
  const types = new Map([...f.types, ...inputs.map((value) => [value.name, value] as const)]);
  const { nodes, stopped, given } = f;
  const backward = differentiate({ g, nodes, types, loss: loss.name, wrt, stopped, given, recomputed });
  const parts = [backward.recompute, backward.chain, backward.leaves];
  const model = modelOf({
    opset,
    inputs,
    outputs: [loss.name, ...[...backward.gradients.values()].map(({ name }) => name)],
    nodes: [...f.nodes, ...parts.flat()],
    initializers: [...f.initializers, ...g.initializers],
  });
  const text = ['recompute', 'chain', 'leaves']
    .map(
      (title, i) =>
        `${title}:\n${parts[i]!.map((node) => `  ${node.opType}(${node.input!.join(', ')}) → ${node.output!.join(', ')}\n`).join('')}`,
    )
    .join('');
  return { model, backward, text };
}

/** Values of the gradients, by the names of their variables. */
export async function gradientValues(
  { model, backward }: Differentiated,
  feeds: Feeds,
): Promise<Record<string, Tensor>> {
  const outputs = await runOnce(model, feeds);
  return Object.fromEntries([...backward.gradients].map(([name, gradient]) => [name, outputs[gradient.name]!]));
}
