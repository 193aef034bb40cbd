/** @file One graph that computes a batch's loss and the gradients of everything an adapter trains. */

import { OnnxLoraError } from '../errors.ts';
import { ActiveValues } from '../autodiff/activeValues.ts';
import { differentiate } from '../autodiff/backward.ts';
import { ruleOf } from '../autodiff/rules.ts';
import { straightThroughDifferences } from '../autodiff/straightThrough.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../graph/proto.ts';
import { byteLength } from '../graph/bytes.ts';
import { rawBytes } from '../graph/tensorData.ts';
import { formatShape, isStatic, type ValueType } from '../graph/value.ts';
import { readNames } from '../graph/walk.ts';
import { injectAdapters } from '../lora/inject.ts';
import type { AdapterInput, AdapterPlan } from '../lora/plan.ts';
import { CONTRIB, fuseGelu } from '../match/fuseGelu.ts';
import { scopeOf } from '../match/modulePath.ts';
import { expandOperators, refold } from '../match/view.ts';
import { inferNode } from '../ops/infer.ts';
import { inferGraph, opsetOf } from '../ops/inferGraph.ts';
import { inlineKnownBranches } from '../ops/inlineBranches.ts';
import { listsAsSlices } from '../ops/listsAsSlices.ts';
import { computeOnlyPicked } from '../ops/narrow.ts';
import { dropUnreadInitializers, foldKnownIntegers, reachable } from '../ops/simplify.ts';
import { type Feeds, float32, sizeOf, type Tensor } from '../runtime/tensor.ts';
import { bytesOf, forwardGraph, type Memory, planMemory, simplifyForward } from './forward/index.ts';
import type { Products } from './microBatch.ts';
import { rowInputsOf } from './prefix/rowInputs.ts';
import { type PrefixRoom, type Split, splitPrefix } from './prefix/split.ts';

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
  /** Whether a graph that computes in float16 has its gradients scaled, by a factor that is fed; false by default. */
  readonly lossScale?: boolean;
  /** Bytes that forward values kept for the gradients may take; `auto` by default. */
  readonly memory?: Memory;
  /** Leaves out what gives every example the same values in each epoch, where there is enough of it. */
  readonly prefix?: PrefixRoom;
}

/** The frozen part below the lowest trained layer, as a graph of its own. */
export interface FrozenPrefix extends Pick<Split, 'kept' | 'bytesPerExample' | 'share'> {
  /** Gives the kept values, which the training graph has as inputs. */
  readonly model: ModelProto;
  readonly nodes: number;
  /** Rows of the batch that it is built for. */
  readonly rows: number;
  /** Bytes of its weights. */
  readonly weightBytes: number;
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
  /** Name of the input, a float32 scalar, by which all gradients are multiplied; absent where they are not scaled. */
  readonly lossScale?: string;
  /** What was left out; a string says why nothing was. Absent where it was not asked for. */
  readonly prefix?: FrozenPrefix | string;
  /** Bytes of all forward values: an upper bound of what a step keeps for its gradients. */
  readonly forwardBytes: number;
  /** Products of the forward pass with weights. */
  readonly products: Products;
  /** Whether some forward values are computed again: equal nodes must then not be merged. */
  readonly recomputes: boolean;
  /** Bytes of the frozen weights. */
  readonly weightBytes: number;
}

/** Name of the input that the loss is multiplied by. */
const LOSS_SCALE = 'loss_scale';

/**
 * Builds the training graph: adapters injected, GELU fused, other fused operators on the way taken apart, computed shapes
 * folded, loss added, differentiated, and everything ordered so that the runtime keeps as few tensors as it can.
 *
 * @throws OnnxLoraError `NO_GRADIENT` for an operator that cannot be differentiated
 */
export function buildTrainingGraph(request: TrainingGraphRequest): TrainingGraph {
  return prepareTraining(request).build();
}

/** The forward half of a training graph: enough to know what a batch takes. */
export interface PreparedTraining extends Pick<TrainingGraph, 'forwardBytes' | 'products'> {
  /** Differentiates it. */
  build(): TrainingGraph;
}

/** The first half of {@link buildTrainingGraph}, for those who may want another batch once they know what this one takes. */
export function prepareTraining({
  base,
  plan,
  loss,
  inputs,
  targets,
  lossScale = false,
  memory = 'auto',
  prefix: room,
}: TrainingGraphRequest): PreparedTraining {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]));
  const opset = opsetOf(base);
  const fused: ModelProto = { ...base, graph: listsAsSlices(fuseGelu(base.graph ?? {}), opset) };
  const injected = injectAdapters(fused, plan, { types: inferGraph(fused, { shapes }), mode: 'training' });
  const wrt = injected.inputs.map(({ name }) => name);
  // Operators that finding layers took apart are whole again where no adapter is; then only those on the way of a gradient
  // are taken apart: a frozen part keeps the kernels that it was exported for.
  const whole = refold(injected.model);
  const types = inferGraph(whole, { shapes });
  const stopped = new Set([...injected.stopped, ...straightThroughDifferences(whole.graph?.node ?? [])]);
  const active = new ActiveValues({ types, wrt, stopped });
  const expanded = expandOperators(
    { ...whole, graph: inlineKnownBranches(whole.graph ?? {}, types) },
    types,
    (node) => active.visit(node) && !ruleOf(node),
  );
  const folded = foldKnownIntegers(expanded.graph, types);

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
  const isHalf = (folded.node ?? []).some(({ output }) => output?.some((name) => types.get(name)?.type === 'float16'));
  const scale: Value | undefined = lossScale && isHalf ? { name: LOSS_SCALE, type: 'float32', shape: [] } : undefined;
  const isFloat = lossValue.type === 'float32' || lossValue.type === 'float64';
  const result = isFloat ? lossValue : lossBuilder.Cast(lossValue, dataTypeNumber('float32'));
  const scaledLoss = scale ? lossBuilder.Mul(result, scale) : result;
  if (scale) types.set(scale.name, scale);
  for (const [name, type] of lossBuilder.types) types.set(name, type);
  for (const [, value] of targetValues) types.set(value.name, value);

  const narrower = new GraphBuilder({ opset, infer: inferNode, prefix: 'pick/' });
  const given = [...lossBuilder.given.values()].flatMap((each) => each.map(({ gradient }) => gradient.name));
  const results = [result.name, scaledLoss.name, ...given];
  const needed = reachable([...(folded.node ?? []), ...lossBuilder.nodes], results);
  const picked = computeOnlyPicked(needed, types, narrower, results);
  const own = [...(folded.initializer ?? []), ...lossBuilder.initializers, ...narrower.initializers];
  const rewritten = forwardGraph({ nodes: picked, types, initializers: own, outputs: results, opset });
  simplifyForward(rewritten);
  const all = reachable(rewritten.nodes, results);
  const changing = [...wrt, ...targetValues.map(([, { name }]) => name), ...(scale ? [scale.name] : [])];
  const { rows, names: rowInputs } = rowInputsOf(base.graph ?? {}, inputs);
  const split =
    room &&
    splitPrefix({
      nodes: all,
      types,
      opset,
      initializers: [...own, ...rewritten.g.initializers],
      results,
      rows,
      rowInputs,
      changing,
      room,
    });
  const { kept, suffix } = typeof split === 'object' ? split : { kept: [], suffix: all };
  const { nodes: forward, ...recomputation } = planMemory({ ...rewritten, nodes: [...suffix] }, memory);
  const products = productsOf(forward, types);
  const forwardBytes = forward
    .flatMap(({ output }) => output ?? [])
    .reduce((sum, name) => sum + bytesOf(types.get(name)), 0);
  const build = (): TrainingGraph => {
    const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'grad/' });
    const backward = differentiate({
      g,
      nodes: forward,
      types,
      loss: scaledLoss.name,
      wrt,
      stopped: new Set([...stopped, ...lossBuilder.stopped]),
      given: lossBuilder.given,
      ...recomputation,
      describe: moduleOf,
    });

    const gradients = new Map<string, string>();
    for (const [name, gradient] of backward.gradients) gradients.set(name, gradient.name);
    const initializers = [...own, ...rewritten.g.initializers];
    const ports = [...new Set([result.name, ...gradients.values()])];
    const graph = dropUnreadInitializers({
      ...folded,
      node: reachable([...forward, ...backward.recompute, ...backward.chain, ...backward.leaves], ports),
      initializer: [...initializers, ...g.initializers],
      input: [
        ...inputPorts(folded.input, inputs, typeof split === 'object' ? forward : undefined),
        ...kept.map((value) => port(value.name, value)),
        ...targetValues.map(([name, value]) => port(value.name, targets[name]!)),
        ...(scale ? [port(scale.name, float32([1], []))] : []),
      ],
      output: ports.map((name) => ({ name })),
      valueInfo: [],
    });
    return {
      model: { ...base, graph, opsetImport: withContrib(base) },
      ...(split === undefined
        ? {}
        : { prefix: typeof split === 'string' ? split : frozenPrefix(split, base, initializers, inputs, rows) }),
      inputs: injected.inputs,
      loss: result.name,
      gradients,
      targetNames: Object.fromEntries(targetValues.map(([name, value]) => [name, value.name])),
      ...(scale ? { lossScale: scale.name } : {}),
      forwardBytes,
      products,
      recomputes: recomputation.recomputed.size > 0,
      weightBytes: weightBytesOf(graph),
    };
  };
  return { forwardBytes, products, build };
}

/** Inputs of the model in the shapes of the batch; of a graph without its first part only those that it still reads. */
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

function frozenPrefix(
  { prefix, kept, bytesPerExample, share }: Split,
  base: ModelProto,
  initializer: readonly TensorProto[],
  inputs: Feeds,
  rows: number,
): FrozenPrefix {
  const read = new Set(prefix.flatMap(readNames));
  const graph = dropUnreadInitializers({
    ...base.graph,
    node: [...prefix],
    initializer: [...initializer],
    input: Object.entries(inputs).flatMap(([name, tensor]) => (read.has(name) ? [port(name, tensor)] : [])),
    output: kept.map(({ name }) => ({ name })),
    valueInfo: [],
  });
  return {
    model: { ...base, graph, opsetImport: withContrib(base) },
    nodes: prefix.length,
    kept,
    bytesPerExample,
    share,
    rows,
    weightBytes: weightBytesOf(graph),
  };
}

function weightBytesOf({ initializer = [] }: GraphProto): number {
  return initializer.reduce((sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()), 0);
}

/** The module that a node belongs to, for errors. */
function moduleOf(node: NodeProto): string {
  const scope = scopeOf(node);
  return scope === undefined ? '' : `module "${scope}"`;
}

function productsOf(nodes: readonly NodeProto[], types: ReadonlyMap<string, ValueType>): Products {
  let [multiplications, rows] = [0, 0];
  for (const { opType, input = [] } of nodes) {
    const [a, b] = input.map((name) => types.get(name)?.shape);
    if ((opType !== 'MatMul' && opType !== 'Gemm') || !isStatic(a) || !isStatic(b) || b.length !== 2) continue;
    const own = sizeOf(b);
    const count = sizeOf(a.slice(0, -1));
    multiplications += own * count;
    rows += own * count * count;
  }
  return { rows: multiplications === 0 ? 0 : rows / multiplications, multiplications };
}

function port(name: string, { type, dims }: Pick<Tensor, 'type' | 'dims'>): ValueInfoProto {
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
