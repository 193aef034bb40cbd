/** @file Makes models out of builder output, and runs them, for tests that compare graphs with what they compute. */

import type { GraphBuilder, Value } from '../../packages/sdk/src/graph/builder.ts';
import { dataTypeNumber } from '../../packages/sdk/src/graph/dataType.ts';
import { sessionModel } from '../../packages/sdk/src/graph/onnxFile.ts';
import type { ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../../packages/sdk/src/graph/proto.ts';
import { CONTRIB } from '../../packages/sdk/src/match/fuseGelu.ts';
import { OrtRuntime } from '../../packages/sdk/src/runtime/ort.ts';
import type { Session } from '../../packages/sdk/src/runtime/session.ts';
import type { Feeds, Tensor } from '../../packages/sdk/src/runtime/tensor.ts';

/** The parts of a model under test. */
export interface ModelParts {
  readonly opset: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
}

/** A model of these parts. Outputs carry no type: ONNX Runtime infers it. */
export function modelOf({ opset, inputs, outputs, nodes, initializers }: ModelParts): ModelProto {
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

/** A model of what one builder emitted. */
export function modelFrom(g: GraphBuilder, inputs: readonly Value[], outputs: readonly Value[]): ModelProto {
  const names = outputs.map(({ name }) => name);
  return modelOf({ opset: g.opset, inputs, outputs: names, nodes: g.nodes, initializers: g.initializers });
}

/** A graph input or output that declares its type. */
function port({ name, type, shape }: Value): ValueInfoProto {
  const dim = (shape ?? []).map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: dataTypeNumber(type!), shape: { dim } } } };
}

/** A session on the CPU with one thread, so that results repeat bit for bit. */
export function cpuSession(model: ModelProto, name = 'test'): Promise<Session> {
  return new OrtRuntime().createSession({ ...sessionModel(model), name }, { provider: 'cpu', threads: 1 });
}

/** Runs a model once. */
export async function runOnce(model: ModelProto, feeds: Feeds): Promise<Record<string, Tensor>> {
  const session = await cpuSession(model);
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** The largest difference between two tensors, relative to the larger of 1 and the largest value. */
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
