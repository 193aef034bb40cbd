/** @file Measures the output error of each quantised layer on data, given the base's input to it. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { freePrefix } from '../../graph/uniqueNames.ts';
import { withContrib } from '../../ops/domains.ts';
import { inferNode } from '../../ops/infer.ts';
import { type QuantizedForm, QuantizedProducts } from '../../ops/quantization/forms.ts';
import { dropUnreadInitializers, reachable } from '../../ops/rewrites/simplify.ts';
import { guardedTask } from '../../plugin/guards/guardedTask.ts';
import type { Task } from '../../plugin/preparedTask.ts';
import { batchesOf as batchesIn, evenlySpaced } from '../../tasks/batches.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { Model } from '../loaded/model.ts';
import { type MatrixTensors, productOf, tensorsOf, withNames } from './quantizedGraph.ts';

/** Data to measure on: a task, sampled evenly, or batches of feeds. */
export type CalibrationData = Task | Iterable<Feeds> | AsyncIterable<Feeds>;

/** Arguments of {@link outputErrors}. */
export interface OutputErrorRequest {
  readonly layers: ReadonlyMap<string, MatrixTensors>;
  readonly form: QuantizedForm;
  readonly data: CalibrationData;
  readonly examples: number;
}

/** Small: float32 and quantised outputs are in memory together. */
const BATCH = 4;

/**
 * The relative error of each layer's output: ‖difference‖ ÷ ‖output‖. Omits layers in branches of an If.
 * @throws OnnxLoraError `DATA_INVALID` for data without examples; as `task.prepare`; `RUNTIME_FAILED`
 */
export async function outputErrors(given: Model, request: OutputErrorRequest): Promise<ReadonlyMap<string, number>> {
  const { model, batches } = await batchesOf(given, request);
  const { graph, outputs } = measuringGraph(model, request);
  const session = await model.workerRuntime.createSession(
    { ...sessionModel(graph), name: model.name },
    { provider: 'cpu', purpose: 'training', prepack: false },
  );
  const squares = new Map([...outputs.keys()].map((module) => [module, { difference: 0, exact: 0 }]));
  let count = 0;
  try {
    const read = new Set(session.inputNames);
    for await (const feeds of batches) {
      const found = await session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => read.has(name))));
      for (const [module, { difference, exact }] of outputs) {
        const sums = squares.get(module)!;
        sums.difference += Number(found[difference]!.data[0]) ** 2;
        sums.exact += Number(found[exact]!.data[0]) ** 2;
      }
      count++;
    }
  } finally {
    await session.release();
  }
  if (count === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'There is nothing to measure layers on: the data have no examples. Check what was given, or leave the data out.',
    );
  }
  return new Map(
    [...squares].map(([module, { difference, exact }]) => [module, exact === 0 ? 0 : Math.sqrt(difference / exact)]),
  );
}

async function batchesOf(
  model: Model,
  { data, examples }: OutputErrorRequest,
): Promise<{ readonly model: Model; readonly batches: Iterable<Feeds> | AsyncIterable<Feeds> }> {
  if (!('prepare' in data)) return { model, batches: data };
  const prepared = await guardedTask(data).prepare(model);
  const dataset = prepared.train.length > 0 ? prepared.train : (prepared.validation ?? prepared.train);
  const source = { dataset, collate: (loaded: readonly unknown[]) => prepared.collate(loaded) };
  async function* inputs(): AsyncGenerator<Feeds> {
    // Evenly spaced: data are often sorted by class.
    for await (const { batch } of batchesIn(source, BATCH, evenlySpaced(dataset.length, examples))) yield batch.inputs;
  }
  return { model: model.withInputSizes(prepared.inputSizes ?? {}), batches: inputs() };
}

/** Output names: norms of a layer's difference and of its exact product. */
type Norms = Readonly<Record<'difference' | 'exact', string>>;

/** The model with each layer's quantised product in parallel, and norms as outputs. */
function measuringGraph(
  model: Model,
  { layers, form }: OutputErrorRequest,
): { readonly graph: ModelProto; readonly outputs: ReadonlyMap<string, Norms> } {
  const { model: base } = model.onnx;
  const prefix = freePrefix(base.graph, 'quantized');
  const g = new GraphBuilder({ opset: model.opset, infer: inferNode, prefix: `${prefix}/norms/` });
  const products = new QuantizedProducts(form, model.opset, `${prefix}/products/`);
  const nodes: NodeProto[] = [];
  const main = new Set(base.graph.node);
  const added = [...layers].flatMap(([module, tensors], i) => {
    const site = model.sitesByPath().get(module);
    if (site?.kind !== 'linear' || !main.has(site.node)) return [];
    const named = withNames(tensors, `${prefix}/${i}`);
    const [exact, rounded] = ['exact', 'rounded'].map((name): Value => ({ name: `${prefix}/${i}/${name}`, type: 'float32' })) as [Value, Value]; // prettier-ignore
    // Without the bias: it is not quantised.
    const alone = { ...site.node, name: exact.name, input: site.node.input!.slice(0, 2), output: [exact.name] };
    const product = { name: rounded.name, opType: 'MatMul', output: [rounded.name] };
    nodes.push(alone, ...products.nodes({ ...productOf(site, named), node: product }));
    const norm = (value: Value): string => g.emit('ReduceL2', [value], { keepdims: 0 }).name;
    return [{ module, named, norms: { difference: norm(g.Sub(rounded, exact)), exact: norm(exact) } }];
  });
  const outputs = added.flatMap(({ norms }) => Object.values(norms));
  const graph = dropUnreadInitializers({
    ...base.graph,
    node: reachable([...(base.graph.node ?? []), ...nodes, ...g.nodes], outputs),
    initializer: [
      ...(base.graph.initializer ?? []),
      ...added.flatMap(({ named }) => tensorsOf(named)),
      ...products.constants,
      ...g.initializers,
    ],
    output: outputs.map((name) => ({ name })),
    valueInfo: [],
  });
  return {
    graph: { ...base, graph, opsetImport: withContrib(base) },
    outputs: new Map(added.map(({ module, norms }) => [module, norms])),
  };
}
