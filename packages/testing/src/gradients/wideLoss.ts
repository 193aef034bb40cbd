/** @file The loss as a function of the trained values, for finite differences. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import type { LossFragment } from '@onnx-lora/sdk/tasks';
import {
  runSync,
  MaskDrawer,
  adaptedGraph,
  type AdaptedGraphRequest,
  addLoss,
  type Parameter,
  type ParameterSet,
} from '@onnx-lora/sdk/core';
import { opsetOf } from '@onnx-lora/sdk/plugin';
import { port } from '../graphs.ts';
import { floatTensor, wideSession, type WideSession } from './wideSession.ts';
import { drawOnce } from '../random.ts';

interface WideLossRequest extends AdaptedGraphRequest {
  readonly loss: LossFragment;
  readonly targets: Feeds;
  readonly name: string;
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
  const { base, inputs, targets, name } = request;
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
  const wide = await wideSession(whole, wrt, shapes, name);
  const values = new Map(
    parameters.all.map(({ input, value, dims }) => [input.name, floatTensor(value.slice(), dims, wide.precision).data]),
  );
  const feedOf = ({ input, dims }: Parameter): readonly [string, Tensor] => {
    const { scale, base: origin } = input.tensor;
    const own = values.get(input.name)!.map((each, i) => scale * each - (origin?.[i] ?? 0));
    return [input.name, floatTensor(own, dims, wide.precision)];
  };
  const still = parameters
    .fed()
    .filter(({ input }) => !values.has(input.name))
    .map(
      ({ input, value, dims, integers }) => [input.name, integers ?? floatTensor(value, dims, wide.precision)] as const,
    );
  const drawn = new MaskDrawer(0, drawOnce).next(adapted.masks);
  const run = async (): Promise<number> => {
    const fed = Object.fromEntries([...parameters.all.map(feedOf), ...still, ...drawn]);
    const outputs = await wide.session.run({ ...batch, ...fed });
    return Number(outputs[added.value.name]!.data[0]);
  };
  return { ...wide, lossAt: { values, run } };
}
