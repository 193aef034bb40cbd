/** @file Builds small models: nodes by a graph builder, weights by a seeded generator. */

import { float32 } from '@onnx-lora/sdk';
import { type Value, GraphBuilder, sizeOf } from '@onnx-lora/sdk/tasks';
import { type GraphProto, type ModelProto, tensorProto, inferNode } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { port } from '../graphs.ts';

/** A model with its graph, as these builders make it. */
export type SmallModel = ModelProto & { readonly graph: GraphProto };

/** Emits nodes and weights. The same seed and the same calls give the same model. */
export class ModelBuilder {
  /** Emits the nodes, by ONNX's names of operators. */
  readonly g: GraphBuilder;
  readonly #weights: NonNullable<GraphProto['initializer']> = [];
  readonly #random: Random;

  /** An empty model of that opset (17 by default), whose weights are drawn from the seed (1 by default). */
  constructor({ opset = 17, seed = 1 }: { readonly opset?: number; readonly seed?: number } = {}) {
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: 'c/' });
    this.#random = new Random(seed);
  }

  /** A weight with values uniform in `offset ± range / 2`. */
  weight(name: string, dims: readonly number[], range = 1, offset = 0): Value {
    const data = new Float32Array(sizeOf(dims)).map(() => offset + (this.#random.next() - 0.5) * range);
    this.#weights.push(tensorProto(name, float32(data, dims)));
    return { name, type: 'float32', shape: dims };
  }

  /** The model of all that was emitted. Inputs and outputs must say their types and shapes. */
  model(inputs: readonly Value[], outputs: readonly Value[]): SmallModel {
    return {
      irVersion: 8,
      producerName: 'pytorch',
      opsetImport: [{ domain: '', version: this.g.opset }],
      graph: {
        name: 'main_graph',
        node: this.g.nodes,
        initializer: [...this.#weights, ...this.g.initializers],
        input: inputs.map(port),
        output: outputs.map(port),
      },
    };
  }

  /** Gives the node emitted last the name of a module's, and its only output a name of its own, where one is given. */
  name(node: string, output?: string): void {
    const last = this.g.nodes.at(-1)!;
    last.name = node;
    if (output !== undefined) last.output = [output];
  }
}
