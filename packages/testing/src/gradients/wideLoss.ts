/** @file The loss as a function of the trained values, for finite differences. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import type { LossFragment, Value } from '@onnx-lora/sdk/tasks';
import {
  runSync,
  MaskDrawer,
  adaptedGraph,
  type AdaptedGraphRequest,
  addLoss,
  type Parameter,
  type ParameterSet,
} from '@onnx-lora/sdk/core';
import { type GraphProto, type ModelProto, opsetOf } from '@onnx-lora/sdk/plugin';
import { port } from '../graphs.ts';
import { floatTensor, wideSession, type WideSession } from './wideSession.ts';
import { drawOnce } from '../random.ts';
import { released } from '../scratch.ts';

interface WideLossRequest extends AdaptedGraphRequest {
  readonly loss: LossFragment;
  readonly targets: Feeds;
  readonly name: string;
  /** Whether values of the adapted graph that stop gradients keep their numbers at the first values. */
  readonly holdsStopped: boolean;
}

interface WideLoss extends WideSession {
  readonly lossAt: {
    /** Trained values by graph input, which may be changed between runs. */
    readonly values: ReadonlyMap<string, Float32Array | Float64Array>;
    run(): Promise<number>;
  };
}

/** Makes the loss a function of the trained values, in double precision where possible. Release the session. */
export async function wideLoss(request: WideLossRequest, parameters: ParameterSet): Promise<WideLoss> {
  const { base, inputs, targets, name, holdsStopped } = request;
  const adapted = runSync(adaptedGraph(request));
  const added = addLoss({ ...request, opset: opsetOf(base) }, adapted);
  const { valueInfo: _, ...graph } = adapted.graph;
  const targetPorts = [...added.targets].map(([, value]) => port(value));
  const whole = {
    ...base,
    graph: {
      ...graph,
      node: [...(graph.node ?? []), ...added.g.nodes],
      initializer: [...(graph.initializer ?? []), ...added.g.initializers],
      input: [...(graph.input ?? []), ...targetPorts],
      output: [{ name: added.value.name }],
    },
  };
  const batch: Feeds = {
    ...inputs,
    ...Object.fromEntries([...added.targets].map(([target, value]) => [value.name, targets[target]!])),
  };
  const shapes = { ...batch, ...Object.fromEntries(parameters.fed().map(({ input, fed }) => [input.name, fed])) };
  const wrt = new Set(parameters.fed().map(({ input }) => input.name));
  const held = holdsStopped ? computedIn(whole.graph, adapted.stopped) : [];
  const free = await wideSession(withOutputs(whole, held), wrt, shapes, name);
  const { precision } = free;
  const values = new Map(
    parameters.all.map(({ input, value, dims }) => [input.name, floatTensor(value.slice(), dims, precision).data]),
  );
  const feedOf = ({ input, dims }: Parameter): readonly [string, Tensor] => {
    const { scale, base: origin } = input.tensor;
    const own = values.get(input.name)!.map((each, i) => scale * each - (origin?.[i] ?? 0));
    return [input.name, floatTensor(own, dims, precision)];
  };
  const still = parameters
    .fed()
    .filter(({ input }) => !values.has(input.name))
    .map(({ input, value, dims, integers }) => [input.name, integers ?? floatTensor(value, dims, precision)] as const);
  const drawn = new MaskDrawer(0, drawOnce).next(adapted.masks);
  const feeds = (): Feeds => ({ ...batch, ...Object.fromEntries([...parameters.all.map(feedOf), ...still, ...drawn]) });
  let wide = free;
  let constants: Feeds = {};
  if (held.length > 0) {
    constants = await released(free.session, (session) => session.run(feeds(), held));
    const types = Object.entries(constants).map(([each, { dims }]): Value => ({ name: each, type: 'float32', shape: dims })); // prettier-ignore
    wide = await wideSession(withInputs(whole, types), new Set([...wrt, ...held]), { ...shapes, ...constants }, name);
    if (wide.precision !== precision) throw new Error('Holding values changed the precision.');
  }
  const run = async (): Promise<number> => {
    const outputs = await wide.session.run({ ...feeds(), ...constants }, [added.value.name]);
    return Number(outputs[added.value.name]!.data[0]);
  };
  return { ...wide, lossAt: { values, run } };
}

type Whole = ModelProto & { readonly graph: GraphProto };

/** Those of the names that nodes of the graph compute. */
function computedIn({ node = [] }: GraphProto, names: ReadonlySet<string>): string[] {
  return node.flatMap(({ output = [] }) => output.filter((name) => names.has(name)));
}

function withOutputs(whole: Whole, names: readonly string[]): Whole {
  const output = [...(whole.graph.output ?? []), ...names.map((name) => ({ name }))];
  return { ...whole, graph: { ...whole.graph, output } };
}

/** Feeds values in place of the nodes that compute them. */
function withInputs(whole: Whole, values: readonly Value[]): Whole {
  const names = new Set(values.map(({ name }) => name));
  const node = (whole.graph.node ?? []).filter(({ output = [] }) => !output.some((name) => names.has(name)));
  return { ...whole, graph: { ...whole.graph, node, input: [...(whole.graph.input ?? []), ...values.map(port)] } };
}
