/** @file Adds a loss to the end of a graph. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { formatShape, type ValueType } from '../../graph/value.ts';
import { inferNode } from '../../ops/infer.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { AdaptedGraph } from './adaptedGraph.ts';
import { requireFitting } from './collated.ts';
import { type Expectation, expectedOf } from './expected.ts';
import { targetInput } from './innerFragments.ts';

/** A loss as a graph fragment: a float scalar, from graph outputs and targets by name. */
export type LossFragment = (
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
) => Value;

type Named = Readonly<Record<string, Value>>;

const LOSS_SCALE = 'loss_scale';

/** The loss at the end of a graph. */
export interface AddedLoss {
  /** The builder with the nodes of the loss. */
  readonly g: GraphBuilder;
  /** The loss, a scalar. */
  readonly value: Value;
  /** The loss times `scale`, the start of the gradients. */
  readonly scaled: Value;
  /** Input that scales the loss; absent without loss scaling. */
  readonly scale?: Value;
  /** Features that the loss compares; only for part of a batch. */
  readonly features?: Value;
  /** Target inputs by the targets' own names. */
  readonly targets: ReadonlyMap<string, Value>;
  /** Expected target values. */
  readonly expected: ReadonlyMap<string, readonly Expectation[]>;
  /** Values that must be computed. */
  readonly results: readonly string[];
}

/** Features compared by a loss, by its builder. */
const compared = new WeakMap<GraphBuilder, Value>();

/** Notes the features that a loss compares, float32 `[rows, …]`, as an output of the graph. */
export function noteFeatures(g: GraphBuilder, features: Value): void {
  compared.set(g, features);
}

/** Loss scaling by a fed factor: never, for float16 graphs, or always. */
export type LossScaling = boolean | 'always';

/** Request of {@link addLoss}. */
export interface LossRequest {
  /** Opset of the graph. */
  readonly opset: number;
  /** Emits the loss. */
  readonly loss: LossFragment;
  /** Targets as fed. */
  readonly targets: Feeds;
  /** Whether the loss is multiplied by a factor; false by default. */
  readonly lossScale?: LossScaling | undefined;
  /** Number of runs that share a batch's loss, which is divided by it; 1 by default. */
  readonly shares?: number | undefined;
  /** Number of parts of a batch in the graph; loss terms of tuners are averaged over them. 1 by default. */
  readonly parts?: number | undefined;
}

/** Emits the loss and adds its types to the graph's. */
export function addLoss(
  { opset, loss, targets: fed, lossScale = false, shares = 1, parts = 1 }: LossRequest,
  {
    graph,
    types,
    inputs = [],
    losses = [],
  }: Pick<AdaptedGraph, 'graph' | 'types'> & Partial<Pick<AdaptedGraph, 'inputs' | 'losses'>>,
): AddedLoss {
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'loss/' });
  const targets = new Map(
    Object.entries(fed).map(([name, { type, dims }]) => [name, { name: targetInput(name), type, shape: dims }]),
  );
  const outputs = Object.fromEntries(
    (graph.output ?? []).map(({ name }) => [name!, { name: name!, ...types.get(name!) }]),
  );
  const computed = withNames(loss, g, outputs, Object.fromEntries(targets));
  if (computed.shape?.length !== 0) {
    if (!computed.shape) requireFitting(graph, types, new Set(inputs.map(({ name }) => name)));
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `Task author: the loss must be a scalar, but "${computed.name}" has shape ${formatShape(computed.shape)}. ${computed.shape ? 'Reduce it, as g.ReduceMean does' : 'Compute it with operators that the SDK knows, or bring a rule for the one that it does not'}.`,
    );
  }
  const fedTypes = [...targets.values()].map((each) => [each.name, each] as const);
  requireOneType(g, new Map<string, ValueType>([...types, ...g.types, ...fedTypes]));
  const isHalf = (graph.node ?? []).some(({ output }) => output?.some((name) => types.get(name)?.type === 'float16'));
  const isScaled = lossScale === 'always' || (lossScale && isHalf);
  const scale: Value | undefined = isScaled ? { name: LOSS_SCALE, type: 'float32', shape: [] } : undefined;
  const isFloat = computed.type === 'float32' || computed.type === 'float64';
  const own = isFloat ? computed : g.Cast(computed, dataTypeNumber('float32'));
  const inType = (each: Value): Value => (own.type === 'float32' ? each : g.Cast(each, dataTypeNumber('float64')));
  const share = (each: Value, of = shares): Value => (of === 1 ? each : g.Mul(each, 1 / of));
  const withLosses = (first: Value): Value =>
    losses.reduce((sum, each) => g.Add(sum, share(inType(each), shares * parts)), first);
  const value = withLosses(share(own));
  const differentiated = shares === 1 ? value : withLosses(own);
  const scaled = scale ? g.Mul(differentiated, scale) : differentiated;
  if (scale) types.set(scale.name, scale);
  for (const [name, type] of g.types) types.set(name, type);
  for (const target of targets.values()) types.set(target.name, target);
  const given = [...g.given.values()].flatMap((each) => each.map(({ gradient }) => gradient.name));
  const features = compared.get(g);
  const expected = new Map([...targets].map(([name, target]) => [name, expectedOf(g, target)]));
  return {
    g,
    value,
    expected,
    scaled,
    ...(scale ? { scale } : {}),
    ...(features ? { features } : {}),
    targets,
    results: [value.name, scaled.name, ...given, ...(features ? [features.name] : [])],
  };
}

/** Operators whose operands must have one element type. */
const oneType = new Set(
  'Add Sub Mul Div Min Max Equal Less Greater LessOrEqual GreaterOrEqual MatMul Gemm Concat'.split(' '),
);

/** ONNX Runtime would name neither the operands nor the remedy, and only fail when loading the graph. */
function requireOneType({ nodes }: GraphBuilder, types: ReadonlyMap<string, ValueType>): void {
  for (const { opType, input = [], domain = '' } of nodes) {
    if (domain !== '' || !oneType.has(opType!)) continue;
    const typed = input.flatMap((name) => {
      const type = types.get(name)?.type;
      return type === undefined ? [] : [{ name, type }];
    });
    const other = typed.find(({ type }) => type !== typed[0]!.type);
    if (!other) continue;
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `Task author: the loss has ${opType} take "${typed[0]!.name}", which is ${typed[0]!.type}, and "${other.name}", which is ${other.type}. ONNX mixes no types: give one as the other in collate, or convert it: g.Cast(x, 1) makes it float32.`,
    );
  }
}

/** Calls the fragment; if it fails on an unknown name, the error says which. */
function withNames(loss: LossFragment, g: GraphBuilder, outputs: Named, targets: Named): Value {
  const missed: string[] = [];
  try {
    return loss(g, watchedNames('output', outputs, missed), watchedNames('target', targets, missed));
  } catch (cause) {
    if (missed.length === 0 || !(cause instanceof TypeError)) throw cause;
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `Task author: the loss reads ${missed.at(-1)}, but that does not exist. Outputs: ${namesIn(outputs)}; targets: ${namesIn(targets)}. Values inside the graph are listed in the task's outputs, targets are what collate gives.`,
      { cause },
    );
  }
}

/** The same values; names that are read but missing are added to `missed`, as `the output "logit"`. */
export function watchedNames(kind: 'output' | 'target', values: Named, missed: string[]): Named {
  return new Proxy(values, {
    get: (all, name: string | symbol) => {
      if (typeof name === 'string' && !(name in all)) missed.push(`the ${kind} "${name}"`);
      return Reflect.get(all, name) as Value;
    },
  });
}

export function namesIn(values: Readonly<Record<string, unknown>>): string {
  return Object.keys(values).join(', ') || 'none';
}
