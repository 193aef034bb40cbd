/** @file Observes layers' inputs over batches of the base. */

import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { sessionModel } from '../ops/session/sessionModel.ts';
import type { ModelProto } from '../graph/proto.ts';
import { matrix } from '../linalg/matrix.ts';
import type { InputObserver } from '../lora/init/initializer.ts';
import { inferNode } from '../ops/infer.ts';
import { inferGraph, opsetOf } from '../ops/inferGraph.ts';
import { dropUnreadInitializers, reachable } from '../ops/rewrites/simplify.ts';
import type { Runtime, SessionOptions } from '../runtime/session.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';

/** An observed input of layers. */
export interface ObservedValue {
  /** Name of the value in the main graph, `[..., width]` once `order` is applied. */
  readonly name: string;
  readonly width: number;
  /** Permutation that moves the width last, if needed. */
  readonly order?: readonly number[];
  readonly observer: InputObserver;
}

/** Request of {@link observeInputs}. */
export interface ObservationRequest {
  readonly base: ModelProto;
  readonly runtime: Runtime;
  readonly session: SessionOptions;
  /** Name of the model in errors. */
  readonly name: string;
  /** The inputs of batch `index`. */
  readonly batch: (index: number) => Promise<Feeds>;
  readonly batches: number;
  /** Maximum passes over the batches until observers settle. */
  readonly passes: number;
}

/**
 * Runs batches until observers settle; memory grows with squared widths only. @throws OnnxLoraError `RUNTIME_FAILED`
 */
export async function observeInputs(values: readonly ObservedValue[], request: ObservationRequest): Promise<void> {
  const { base, runtime, session: options, name, batch, batches, passes } = request;
  const graph = statisticsGraph(base, values, await batch(0));
  const session = await runtime.createSession({ ...sessionModel(graph.model), name }, options);
  try {
    for (let i = 0; i < passes * batches && !values.every(({ observer }) => observer.settled); i++) {
      const outputs = await session.run(await batch(i % batches));
      values.forEach(({ observer, width }, at) => {
        if (!observer.settled) observer.update(readStatistics(outputs, graph.outputs[at]!, width));
      });
    }
  } finally {
    await session.release();
  }
}

/** Output names of a value's statistics. */
interface StatisticNames {
  readonly gram: string;
  readonly sum: string;
  readonly max: string;
  readonly shape: string;
}

function statisticsGraph(
  base: ModelProto,
  values: readonly ObservedValue[],
  inputs: Feeds,
): { readonly model: ModelProto; readonly outputs: readonly StatisticNames[] } {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]));
  const types = inferGraph(base, { shapes });
  const g = new GraphBuilder({ opset: opsetOf(base), infer: inferNode, prefix: 'observe/' });
  const outputs = values.map(({ name, width, order }): StatisticNames => {
    const read: Value = { name, ...types.get(name) };
    const floats = read.type === undefined || read.type === 'float32' ? read : g.Cast(read, dataTypeNumber('float32'));
    const rows = g.Reshape(order ? g.Transpose(floats, order) : floats, [-1, width]);
    return {
      gram: g.Gemm(rows, rows, undefined, { transA: true }).name,
      sum: g.ReduceSum(rows, [0], false).name,
      max: g.ReduceMax(rows, [0, 1], false).name,
      shape: g.Shape(rows).name,
    };
  });
  const names = outputs.flatMap((each) => Object.values(each) as string[]);
  const graph = base.graph ?? {};
  const model: ModelProto = {
    ...base,
    graph: dropUnreadInitializers({
      ...graph,
      // Nodes after the last observed value are not computed.
      node: reachable([...(graph.node ?? []), ...g.nodes], names),
      initializer: [...(graph.initializer ?? []), ...g.initializers],
      output: names.map((name) => ({ name })),
      valueInfo: [],
    }),
  };
  return { model, outputs };
}

function readStatistics(
  outputs: Readonly<Record<string, Tensor>>,
  names: StatisticNames,
  width: number,
): Parameters<InputObserver['update']>[0] {
  const floats = (name: string): Float64Array => Float64Array.from(outputs[name]!.data as Float32Array);
  return {
    rows: Number(outputs[names.shape]!.data[0]),
    gram: matrix(width, width, floats(names.gram)),
    sum: floats(names.sum),
    max: floats(names.max)[0]!,
  };
}
