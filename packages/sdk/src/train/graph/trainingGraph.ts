/** @file Builds the graph of a batch's loss and gradients. */

import { type Backward, differentiation } from '../../autodiff/backward.ts';
import { OnnxLoraError } from '../../errors.ts';
import { runSync } from '../../graph/eventLoop.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../../graph/proto.ts';
import { byteLength } from '../../graph/bytes.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import type { ValueType } from '../../graph/value.ts';
import { readNames } from '../../graph/walk.ts';
import type { DropoutMask } from '../../lora/adapterInputs.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { scopeOf } from '../../match/modulePath.ts';
import { withContrib } from '../../ops/domains.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { type BasePrecision, inPrecision } from '../../ops/precision/precision.ts';
import { dropUnreadInitializers, reachable } from '../../ops/rewrites/simplify.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import { adaptedGraph, type AdaptedGraphRequest } from './adaptedGraph.ts';
import { type AddedLoss, addLoss, type LossRequest } from './addLoss.ts';
import type { Expectation } from './expected.ts';
import { bytesOfAll, forwardGraph, type Memory, planMemory, type SizedValue, sizedValues } from '../forward/index.ts';
import { type Products, type ProductSize, productSizesOf, productsOf } from '../step/microBatch.ts';
import { rowInputsOf } from '../../ops/rows/batchAxes.ts';
import { partsGraph } from './partsGraph.ts';
import { rewritesWithout } from './rewrites.ts';
import { dataDependentShapeError } from './dataDependentShapes.ts';
import { packedBytes } from '../step/packedBytes.ts';
import { type PrefixLimits, type Split, splitPrefix } from '../prefix/split.ts';

/** Request of {@link buildTrainingGraph}. */
export interface TrainingGraphRequest
  extends AdaptedGraphRequest, Pick<LossRequest, 'loss' | 'targets' | 'lossScale' | 'shares' | 'parts'> {
  /** Targets of the loss. */
  readonly targets: Feeds;
  /** Bytes that forward values kept for gradients may take; `auto` by default. */
  readonly memory?: Memory;
  /** Number of graphs like this run in sequence for a batch; 1 by default. */
  readonly pieces?: number;
  /** Whether to output the compared features and no gradients; false by default. */
  readonly featuresOnly?: boolean | undefined;
  /** Precision of the base; float32 by default. */
  readonly precision?: BasePrecision | undefined;
  /** Options to move the frozen prefix, constant per example across epochs, into its own graph. */
  readonly prefix?: PrefixLimits | undefined;
}

/** The frozen part below the lowest trained layer, as its own graph. */
export interface FrozenPrefix extends Pick<Split, 'kept' | 'bytesPerExample' | 'share'> {
  /** Computes the kept values, which are inputs of the training graph. */
  readonly model: ModelProto;
  /** Number of nodes. */
  readonly nodes: number;
  /** Rows of the batch it is built for. */
  readonly rows: number;
  /** Bytes of packed copies of its weights. */
  readonly packedBytes: number;
}

/** A graph with the loss and the gradients as outputs. */
export interface TrainingGraph {
  /** The graph. */
  readonly model: ModelProto;
  /** The inputs of trained tensors. */
  readonly inputs: readonly AdapterInput[];
  /** Random inputs: dropout masks and noise. */
  readonly masks: readonly DropoutMask[];
  /** Name of the loss output. */
  readonly loss: string;
  /** Name of the output with the compared features, float32 `[rows, …]`; only for part of a batch. */
  readonly features?: string;
  /** Gradient output by adapter input; absent if the loss does not depend on the input. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Graph inputs of the loss's targets, by the targets' own names. */
  readonly targetNames: Readonly<Record<string, string>>;
  /** Expected target values, by the targets' own names. */
  readonly expected: ReadonlyMap<string, readonly Expectation[]>;
  /** Name of the float32 scalar input that scales gradients; absent without loss scaling. */
  readonly lossScale?: string;
  /** The frozen prefix, or the reason for its absence; undefined if not requested. */
  readonly prefix?: FrozenPrefix | string;
  /** Bytes of all forward values, an upper bound of the memory for gradients. */
  readonly forwardBytes: number;
  /** Matrix products of the forward pass with weights. */
  readonly products: Products;
  /** The forward values of `forwardBytes`. */
  readonly forwardValues: readonly SizedValue[];
  /** Sizes of `products`. */
  readonly productSizes: readonly ProductSize[];
  /** Whether forward values are recomputed: equal nodes must then not be merged. */
  readonly recomputes: boolean;
  /** Bytes of the frozen weights. */
  readonly weightBytes: number;
  /** Bytes of their packed copies. */
  readonly packedBytes: number;
}

/**
 * Builds the training graph: injects adapters, fuses GELU, expands other fused operators that need gradients, folds
 * shapes, adds the loss, differentiates, and orders nodes so that few tensors are live.
 * @throws OnnxLoraError `NO_GRADIENT` for an operator without a gradient, or a loss that no trained tensor affects
 */
export function buildTrainingGraph(request: TrainingGraphRequest): TrainingGraph {
  return runSync(runSync(prepareTraining(request)).build());
}

/** The forward half of a training graph, enough to know a batch's cost. */
export interface PreparedTraining extends Pick<TrainingGraph, 'forwardBytes' | 'products'> {
  /** Adds the gradients. Yields after each node. */
  build(): Generator<void, TrainingGraph>;
}

/** The first half of {@link buildTrainingGraph}, to choose another batch by its cost. Yields between stages. */
export function* prepareTraining(request: TrainingGraphRequest): Generator<void, PreparedTraining> {
  const { base, inputs, memory = 'auto', pieces, prefix: room, precision } = request;
  const { parts: count = 1, without } = request;
  const rewrites = rewritesWithout(without);
  const adapted = yield* count > 1 ? partsGraph({ ...request, parts: count }) : adaptedGraph(request);
  const { types } = adapted;
  const opset = opsetOf(base);
  const explained = (error: unknown): unknown =>
    error instanceof OnnxLoraError && error.code === 'MODEL_UNSUPPORTED'
      ? dataDependentShapeError(error, adapted.graph, types, base.graph ?? {}, adapted.wrt.map(nameOf))
      : error;
  let loss: AddedLoss;
  try {
    loss = addLoss({ ...request, opset }, adapted);
  } catch (error) {
    throw explained(error);
  }
  yield;
  const narrower = new GraphBuilder({ opset, infer: inferNode, prefix: 'pick/' });
  const whole = reachable([...(adapted.graph.node ?? []), ...loss.g.nodes], loss.results);
  const picked = rewrites.picking.reduce((nodes, rewrite) => rewrite(nodes, types, narrower, loss.results), whole);
  yield;
  const constants = [...(adapted.graph.initializer ?? []), ...loss.g.initializers, ...narrower.initializers];
  const trained = adapted.wrt.map(nameOf);
  const rewritten = forwardGraph({
    nodes: picked,
    types,
    initializers: constants,
    outputs: loss.results,
    opset,
    wrt: trained,
  });
  for (const rewrite of rewrites.forward) {
    rewrite(rewritten);
    yield;
  }
  const all = reachable(rewritten.nodes, loss.results);
  const initializers = [...constants, ...rewritten.g.initializers];
  const values = [...adapted.inputs, ...adapted.masks, ...loss.targets.values(), ...(loss.scale ? [loss.scale] : [])];
  const changing = [...values.map(nameOf), ...(room?.changing ?? [])];
  const { rows, names } = rowInputsOf(base.graph ?? {}, inputs);
  const rowInputs = new Map(names.map((name) => [name, 0]));
  const parts = { nodes: all, types, opset, initializers, results: loss.results, rows, rowInputs, changing };
  const split = room && splitPrefix({ ...parts, room });
  const { kept, suffix } = typeof split === 'object' ? split : { kept: [], suffix: all };
  yield;
  const { nodes: forward, ...recomputation } = planMemory({ ...rewritten, nodes: [...suffix] }, memory, pieces);
  yield;
  const productSizes = productSizesOf(forward, types);
  const forwardValues = sizedValues(forward.flatMap(({ output }) => output ?? []), types); // prettier-ignore
  const products = productsOf(productSizes);
  const forwardBytes = bytesOfAll(forwardValues);

  function* build(): Generator<void, TrainingGraph> {
    const g = new GraphBuilder({ opset, infer: inferNode, prefix: GRADIENT });
    const wrt = request.featuresOnly ? [] : adapted.wrt.map(nameOf);
    const differentiated = differentiation({
      g,
      nodes: forward,
      types,
      loss: loss.scaled.name,
      wrt,
      stopped: new Set([...adapted.stopped, ...loss.g.stopped]),
      given: loss.g.given,
      without,
      ...recomputation,
      describe: moduleOf,
    });
    let backward: Backward;
    try {
      backward = yield* differentiated;
    } catch (error) {
      throw explained(error);
    }
    // Steps would run without effect.
    if (backward.gradients.size === 0 && wrt.length > 0) {
      throw new OnnxLoraError(
        'NO_GRADIENT',
        'The loss depends on nothing that is trained: it reads other outputs than those which the adapted layers change, or an operator on the way passes no gradient, such as ArgMax, Round or a comparison. Compute it from values before that operator (outputs of the task), or adapt other layers.',
      );
    }
    yield;
    const gradients = new Map([...backward.gradients].map(([name, gradient]) => [name, gradient.name]));
    const features = loss.features?.name;
    const ports = new Set([loss.value.name, ...gradients.values(), ...(features === undefined ? [] : [features])]);
    const typeOf = (name: string): ValueType => g.types.get(name) ?? types.get(name) ?? {};
    const inOrder = [...backward.recompute, ...backward.chain, ...backward.leaves];
    const own = rewrites.gradient.reduce((steps, rewrite) => rewrite(steps, g, typeOf, ports), inOrder);
    const nodes = rewrites.whole.reduce((steps, rewrite) => rewrite(steps, g, typeOf, ports), [...forward, ...own]);
    const graph = dropUnreadInitializers({
      ...adapted.graph,
      node: reachable(nodes, ports),
      // Read again: planning the memory adds constants.
      initializer: [...constants, ...rewritten.g.initializers, ...g.initializers],
      input: [
        ...inputPorts(adapted.graph.input, inputs, typeof split === 'object' ? forward : undefined),
        ...kept.map((value) => port(value.name, value)),
        ...[...loss.targets].map(([name, value]) => port(value.name, request.targets[name]!)),
        ...(loss.scale ? [port(loss.scale.name, float32([1], []))] : []),
      ],
      output: [...ports].map((name) => ({ name })),
      valueInfo: [],
    });
    const model = yield* inPrecision({ ...base, graph, opsetImport: withContrib(base) }, precision, isOfGradient);
    const below = typeof split === 'object' ? yield* frozenPrefix(split, request, initializers, rows) : split;
    return {
      model,
      ...(below === undefined ? {} : { prefix: below }),
      inputs: adapted.inputs,
      masks: adapted.masks,
      loss: loss.value.name,
      gradients,
      ...(features === undefined ? {} : { features }),
      targetNames: Object.fromEntries([...loss.targets].map(([name, value]) => [name, value.name])),
      expected: loss.expected,
      ...(loss.scale ? { lossScale: loss.scale.name } : {}),
      forwardBytes,
      products,
      forwardValues,
      productSizes,
      recomputes: recomputation.recomputed.size > 0,
      weightBytes: weightBytesOf(model.graph!),
      packedBytes: packedBytes(model.graph!),
    };
  }
  return { forwardBytes, products, build };
}

/** Prefix of the gradients' node names. */
const GRADIENT = 'grad/';

/** Whether a node of a training graph was added by the gradients. */
export function isOfGradient({ name = '' }: NodeProto): boolean {
  return name.startsWith(GRADIENT);
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

/** The model's inputs in the batch's shapes; without the frozen prefix only those still read. */
function inputPorts(
  infos: readonly ValueInfoProto[] = [],
  inputs: Feeds,
  nodes?: readonly NodeProto[],
): ValueInfoProto[] {
  const read = nodes && new Set(nodes.flatMap(readNames));
  return infos
    .filter(({ name = '' }) => !inputs[name] || !read || read.has(name))
    .map((info) => (inputs[info.name!] ? port(info.name!, inputs[info.name!]!) : info));
}

function* frozenPrefix(
  { prefix, kept, bytesPerExample, share }: Split,
  { base, inputs, precision }: TrainingGraphRequest,
  initializer: readonly TensorProto[],
  rows: number,
): Generator<void, FrozenPrefix> {
  const read = new Set(prefix.flatMap(readNames));
  const graph = dropUnreadInitializers({
    ...base.graph,
    node: [...prefix],
    initializer: [...initializer],
    input: Object.entries(inputs).flatMap(([name, tensor]) => (read.has(name) ? [port(name, tensor)] : [])),
    output: kept.map(({ name }) => ({ name })),
    valueInfo: [],
  });
  const model = yield* inPrecision({ ...base, graph, opsetImport: withContrib(base) }, precision);
  return {
    model,
    nodes: prefix.length,
    kept,
    bytesPerExample,
    share,
    rows,
    packedBytes: packedBytes(model.graph!),
  };
}

function weightBytesOf({ initializer = [] }: GraphProto): number {
  return initializer.reduce((sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()), 0);
}

function moduleOf(node: NodeProto): string {
  const scope = scopeOf(node);
  return scope === undefined ? '' : `module "${scope}"`;
}

function port(name: string, { type, dims }: Pick<Tensor, 'type' | 'dims'>): ValueInfoProto {
  return valueInfo(name, type, dims);
}
