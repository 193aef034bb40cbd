/** @file Builds small models with seeded random weights. */

import { float32 } from '@onnx-lora/sdk';
import { type Value, GraphBuilder, sizeOf } from '@onnx-lora/sdk/tasks';
import { type GraphProto, type ModelProto, tensorProto, inferNode } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { port } from '../graphs.ts';

/** A model with its graph. */
export type SmallModel = ModelProto & { readonly graph: GraphProto };

/** Emits nodes and weights; reproducible by seed. */
export class ModelBuilder {
  /** Emits nodes, by ONNX operator name. */
  readonly g: GraphBuilder;
  readonly #weights: NonNullable<GraphProto['initializer']> = [];
  readonly #random: Random;

  /** An empty model with an opset (17 by default) and a seed of its weights (1 by default). */
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

  /** The model. Inputs and outputs need types and shapes. */
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

  /** Names the last node after a module, and optionally its only output. */
  name(node: string, output?: string): void {
    const last = this.g.nodes.at(-1)!;
    last.name = node;
    if (output !== undefined) last.output = [output];
  }
}
