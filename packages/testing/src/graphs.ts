/** @file Makes models from a builder's nodes, runs them, and compares tensors. */

import { OrtRuntime, type Session, type Feeds, type Tensor } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import {
  type NodeProto,
  dataTypeNumber,
  sessionModel,
  type GraphProto,
  type ModelProto,
  type TensorProto,
  type ValueInfoProto,
} from '@onnx-lora/sdk/plugin';
import { CONTRIB } from '@onnx-lora/sdk/core';
import { released } from './scratch.ts';

/** Parts of a test model. */
export interface GraphParts {
  readonly opset: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
}

/** Makes a model of these parts. Outputs have no type: ONNX Runtime infers it. */
export function modelOf({ opset, inputs, outputs, nodes, initializers }: GraphParts): ModelProto & {
  graph: GraphProto;
} {
  return {
    irVersion: 8,
    opsetImport: [
      { domain: '', version: opset },
      { domain: CONTRIB, version: 1 },
    ],
    graph: {
      name: 'test',
      node: [...nodes],
      initializer: [...initializers],
      input: inputs.map(port),
      output: outputs.map((name) => ({ name })),
    },
  };
}

/** Makes a model of a builder's nodes. */
export function modelFrom(g: GraphBuilder, inputs: readonly Value[], outputs: readonly Value[]): ModelProto {
  const names = outputs.map(({ name }) => name);
  return modelOf({ opset: g.opset, inputs, outputs: names, nodes: g.nodes, initializers: g.initializers });
}

/** A graph input or output with its type. */
export function port({ name, type, shape }: Value): ValueInfoProto {
  const dim = (shape ?? []).map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: dataTypeNumber(type!), shape: { dim } } } };
}

/** A session on the CPU with one thread, so that results are reproducible to the bit. */
export function cpuSession(model: ModelProto, name = 'test'): Promise<Session> {
  return new OrtRuntime().createSession({ ...sessionModel(model), name }, { provider: 'cpu', threads: 1 });
}

/** Runs a model once. */
export async function runOnce(model: ModelProto, feeds: Feeds): Promise<Record<string, Tensor>> {
  return released(await cpuSession(model), (session) => session.run(feeds));
}

/** The largest difference between tensors, relative to the largest value (at least 1). */
export function difference(a: Tensor | undefined, b: Tensor | undefined): number {
  if (!a || !b || a.type !== b.type || a.dims.join() !== b.dims.join()) return Infinity;
  let [largest, scale] = [0, 1];
  for (let i = 0; i < a.data.length; i++) {
    const [left, right] = [Number(a.data[i]), Number(b.data[i])];
    if (Object.is(left, right)) continue;
    largest = Math.max(largest, Number.isNaN(left - right) ? Infinity : Math.abs(left - right));
    scale = Math.max(scale, Math.abs(right));
  }
  return largest / scale;
}
