/** @file One graph that computes a batch's loss and the gradients of everything an adapter trains. */

import { OnnxLoraError } from '../errors.ts';
import { differentiate } from '../autodiff/backward.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { ModelProto, ValueInfoProto } from '../graph/proto.ts';
import { byteLength } from '../graph/bytes.ts';
import { rawBytes } from '../graph/tensorData.ts';
import { formatShape, isStatic, type ValueType } from '../graph/value.ts';
import { injectAdapters } from '../lora/inject.ts';
import type { AdapterInput, AdapterPlan } from '../lora/plan.ts';
import { CONTRIB, fuseGelu } from '../match/fuseGelu.ts';
import { inferNode } from '../ops/infer.ts';
import { inferGraph, opsetOf } from '../ops/inferGraph.ts';
import { computeOnlyPicked } from '../ops/narrow.ts';
import { dropUnreadInitializers, foldKnownIntegers, reachable } from '../ops/simplify.ts';
import { bytesPerElement, type Feeds, sizeOf, type Tensor } from '../runtime/tensor.ts';

/** A loss as a graph fragment: a float scalar, from graph outputs and targets by name. */
export type LossFragment = (
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
) => Value;

/** What a training graph is built from. */
export interface TrainingGraphRequest {
  readonly base: ModelProto;
  readonly plan: AdapterPlan;
  readonly loss: LossFragment;
  /** One batch as it will be fed: the graph is built for its shapes. */
  readonly inputs: Feeds;
  readonly targets: Feeds;
}

/** A graph with the loss and the gradients as outputs. */
export interface TrainingGraph {
  readonly model: ModelProto;
  readonly inputs: readonly AdapterInput[];
  /** Name of the loss among the outputs. */
  readonly loss: string;
  /** Name of the gradient output by adapter input; absent where the loss does not depend on the input. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Prefix that the loss's targets carry as graph inputs. */
  readonly targetNames: Readonly<Record<string, string>>;
  /** Bytes of all forward values: an upper bound of what a step keeps for its gradients. */
  readonly forwardBytes: number;
  /** Bytes of the frozen weights. */
  readonly weightBytes: number;
}

/**
 * Builds the training graph: adapters injected, GELU fused, computed shapes folded, loss added, differentiated, and
 * everything ordered so that the runtime keeps as few tensors as it can.
 *
 * @throws OnnxLoraError `NO_GRADIENT` for an operator that cannot be differentiated
 */
export function buildTrainingGraph({ base, plan, loss, inputs, targets }: TrainingGraphRequest): TrainingGraph {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]));
  const fused: ModelProto = { ...base, graph: fuseGelu(base.graph ?? {}) };
  const injected = injectAdapters(fused, plan, { types: inferGraph(fused, { shapes }), mode: 'training' });
  const types = inferGraph(injected.model, { shapes });
  const folded = foldKnownIntegers(injected.model.graph ?? {}, types);

  const opset = opsetOf(base);
  const lossBuilder = new GraphBuilder({ opset, infer: inferNode, prefix: 'loss/' });
  const targetValues = Object.entries(targets).map(
    ([name, { type, dims }]) => [name, { name: `target/${name}`, type, shape: dims }] as const,
  );
  const outputs = Object.fromEntries(
    (folded.output ?? []).map(({ name }) => [name!, { name: name!, ...types.get(name!) }]),
  );
  const lossValue = loss(lossBuilder, outputs, Object.fromEntries(targetValues));
  if (lossValue.shape?.length !== 0) {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `Task author: the loss must be a scalar, but "${lossValue.name}" has shape ${formatShape(lossValue.shape)}.`,
    );
  }
  for (const [name, type] of lossBuilder.types) types.set(name, type);
  for (const [, value] of targetValues) types.set(value.name, value);

  const narrower = new GraphBuilder({ opset, infer: inferNode, prefix: 'pick/' });
  const needed = reachable([...(folded.node ?? []), ...lossBuilder.nodes], [lossValue.name]);
  const forward = computeOnlyPicked(needed, types, narrower, [lossValue.name]);
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'grad/' });
  const backward = differentiate({
    g,
    nodes: forward,
    types,
    loss: lossValue.name,
    wrt: injected.inputs.map(({ name }) => name),
    stopped: new Set([...injected.stopped, ...lossBuilder.stopped]),
  });

  const gradients = new Map<string, string>();
  for (const [name, gradient] of backward.gradients) gradients.set(name, gradient.name);
  const ports = [...new Set([lossValue.name, ...gradients.values()])];
  const graph = dropUnreadInitializers({
    ...folded,
    node: [...forward, ...backward.recompute, ...backward.chain, ...backward.leaves],
    initializer: [
      ...(folded.initializer ?? []),
      ...lossBuilder.initializers,
      ...narrower.initializers,
      ...g.initializers,
    ],
    input: [
      ...(folded.input ?? []).map((info) => (inputs[info.name!] ? port(info.name!, inputs[info.name!]!) : info)),
      ...targetValues.map(([name, value]) => port(value.name, targets[name]!)),
    ],
    output: ports.map((name) => ({ name })),
    valueInfo: [],
  });
  return {
    model: { ...base, graph, opsetImport: withContrib(base) },
    inputs: injected.inputs,
    loss: lossValue.name,
    gradients,
    targetNames: Object.fromEntries(targetValues.map(([name, value]) => [name, value.name])),
    forwardBytes: forward
      .flatMap(({ output }) => output ?? [])
      .reduce((sum, name) => sum + bytesOf(types.get(name)), 0),
    weightBytes: graph.initializer!.reduce((sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()), 0),
  };
}

function bytesOf(value: ValueType | undefined): number {
  return value?.type && isStatic(value.shape) ? sizeOf(value.shape) * bytesPerElement(value.type) : 0;
}

function port(name: string, { type, dims }: Tensor): ValueInfoProto {
  return {
    name,
    type: { tensorType: { elemType: dataTypeNumber(type), shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  };
}

function withContrib({ opsetImport = [] }: ModelProto): NonNullable<ModelProto['opsetImport']> {
  return opsetImport.some(({ domain }) => domain === CONTRIB)
    ? opsetImport
    : [...opsetImport, { domain: CONTRIB, version: 1 }];
}
