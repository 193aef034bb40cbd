/** @file Reverse-mode differentiation, graph to graph, with the emitted nodes in an order that saves memory. */

import { OnnxLoraError } from '../errors.ts';
import { runSync } from '../graph/eventLoop.ts';
import type { CustomGradient, GraphBuilder, Value } from '../graph/builder.ts';
import { operatorName } from '../graph/knownOperators.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { formatShape, type ValueType } from '../graph/value.ts';
import { indexNodes, readNames } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { reachable } from '../ops/rewrites/simplify.ts';
import { ActiveValues } from './activeValues.ts';
import { capturedBy, ifBack, isIf } from './branches.ts';
import { manyOutputOps, ruleOf } from './rules.ts';
import { staticShape, type GraphContext, type Vjp, zeros } from './vjp.ts';

/** The request of {@link differentiate}. */
export interface BackwardRequest {
  /** Emits the gradient nodes; its opset must be the graph's. */
  readonly g: GraphBuilder;
  /** Forward nodes up to the loss, in topological order. */
  readonly nodes: readonly NodeProto[];
  /** Types of all values of the forward nodes. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** A float scalar. */
  readonly loss: string;
  /** Values to differentiate by. */
  readonly wrt: readonly string[];
  /** Values that stop gradients. */
  readonly stopped: ReadonlySet<string>;
  /** Values with known derivatives, as a builder's `withGradient` records them. */
  readonly given?: ReadonlyMap<string, readonly CustomGradient[]>;
  /** Forward values to recompute (gradient checkpointing) instead of keeping. */
  readonly recomputed?: ReadonlySet<string>;
  /** By value: others whose gradients must be computed before the value's own is used, to limit live memory. */
  readonly follows?: ReadonlyMap<string, readonly string[]>;
  /** Shortcuts that tests turn off; none by default. */
  readonly without?: ReadonlySet<string> | undefined;
  /** Describes a node's origin for errors: `module "vit.layers.0.mlp"`. */
  readonly describe?: (node: NodeProto) => string;
}

/** The emitted gradient nodes: three parts that follow the forward nodes in this order. */
export interface Backward {
  /** Gradients by value; absent if the loss does not depend on it. */
  readonly gradients: ReadonlyMap<string, Value>;
  /** Nodes that depend only on forward values, such as the derivative of GELU. */
  readonly recompute: readonly NodeProto[];
  /** The chain of cotangents down from the loss. */
  readonly chain: readonly NodeProto[];
  /** The final products of parameter gradients, in forward order of the parameters. */
  readonly leaves: readonly NodeProto[];
}

/** Emits the gradients of `loss` by `wrt`. @throws OnnxLoraError `NO_GRADIENT` for an operator without a rule */
export function differentiate(request: BackwardRequest): Backward {
  return runSync(differentiation(request));
}

/** {@link differentiate}, interruptible after each node. */
export function* differentiation(request: BackwardRequest): Generator<void, Backward> {
  const { g, types, loss, wrt } = request;
  const seed = g.scalar(1, types.get(loss)?.type);
  const cotangents = yield* propagate(request, new Map([[loss, seed]]));
  const gradients = new Map(
    wrt.flatMap((name) => (cotangents.has(name) ? [[name, cotangents.get(name)!] as const] : [])),
  );
  const results = [...gradients.values()].map(({ name }) => name);
  yield;
  return { gradients, ...arrange(reachable(g.nodes, results), seed.name, gradients) };
}

/** Propagates cotangents from the last values to all active ones. */
function* propagate(
  request: Omit<BackwardRequest, 'loss'>,
  cotangents: Map<string, Value>,
): Generator<void, ReadonlyMap<string, Value>> {
  const { g, nodes, types } = request;
  const active = new ActiveValues(request);
  for (const node of nodes) active.visit(node);
  const value = (name: string): Value => ({ name, ...types.get(name) });
  const context = graphContext(request, value, cotangents);
  const again = recomputation(request, context);
  const add = (operand: Value, gradient: Value): void => {
    const before = cotangents.get(operand.name);
    cotangents.set(operand.name, before ? g.Add(before, gradient) : gradient);
  };

  for (const node of [...nodes].reverse()) {
    yield;
    const outputs = node.output ?? [];
    const dys = outputs.map((name) => cotangents.get(name));
    const dy = dys.find((each) => each !== undefined);
    if (!dy || !outputs.some((name) => active.has(name))) continue;
    if (isIf(node)) {
      const captured = capturedBy(node).filter((name) => active.has(name)).map(value); // prettier-ignore
      ifBack(g, node, dys, captured, types.keys(), (inner, branch, seeds) =>
        throughBranch(request, inner, branch, seeds, captured),
      ).forEach((gradient, i) => add(captured[i]!, gradient));
      continue;
    }
    if (active.isCapturedBy(node)) throw noRule(node, '', request);
    const x = (node.input ?? []).map((name) => (name ? value(name) : undefined));
    const others = (request.follows?.get(outputs[0]!) ?? []).flatMap((name) => cotangents.get(name) ?? []);
    if (dys[0] && others.length > 0) dys[0] = heldUntil(g, dys[0], others);
    const operands = x.map((operand) => operand && again(operand));
    const site = { g, node, x: operands, y: outputs.map((name) => again(value(name))), dy: dys[0] ?? dy, dys, context };
    // The gradient of an empty tensor is zero; many operators reject tensors without elements.
    const isEmpty = dys.every((each) => !each || each.shape?.includes(0));
    const second = dys.findIndex((each, i) => i > 0 && each !== undefined);
    if (second > 0 && !node.known?.gradient && !manyOutputOps.has(node.opType ?? ''))
      throw noRule(node, ` output ${second}`, request);
    for (const { by, gradient } of request.given?.get(outputs[0]!) ?? [])
      if (active.has(by.name)) add(by, unbroadcast(g, g.Mul(dy, gradient), value(by.name), node));
    x.forEach((operand, i) => {
      if (!operand || !active.has(operand.name)) return;
      const vjp = vjpOf(node, i, request);
      if (!vjp) return;
      const gradient = (): Value => located(node, request, () => vjp(site, i));
      add(operand, isEmpty ? zeros(g, staticShape(operand), dy.type) : unbroadcast(g, gradient(), operand, node));
    });
  }
  return cotangents;
}

/** Returns a forward value or its recomputation, which is emitted once. */
function recomputation(
  { g, types, recomputed }: Pick<BackwardRequest, 'g' | 'types' | 'recomputed'>,
  context: GraphContext,
): (value: Value) => Value {
  const names = new Map<string, string>();
  const again = (name: string): string => {
    const node = recomputed?.has(name) ? context.producer(name) : undefined;
    if (!node || names.has(name)) return names.get(name) ?? name;
    const input = (node.input ?? []).map((each) => each && again(each));
    for (const each of (node.output ?? []).filter(Boolean)) {
      names.set(each, `again/${each}`);
      g.types.set(`again/${each}`, types.get(each) ?? {});
    }
    const output = (node.output ?? []).map((each) => names.get(each) ?? '');
    g.nodes.push({ ...node, name: `again/${node.name ?? output[0]}`, input, output });
    return names.get(name)!;
  };
  return (value) => ({ ...value, name: again(value.name) });
}

/** Delays `value` until the others are computed: adds the first element of each, times 0. */
function heldUntil(g: GraphBuilder, value: Value, others: readonly Value[]): Value {
  const firsts = others.map((other) => {
    const axes = other.shape!.map((_, i) => i);
    const [starts, ends] = [axes.map(() => 0), axes.map(() => 1)];
    return g.Reshape(g.Slice(other, starts, ends, axes), [1]);
  });
  const sum = firsts.reduce((a, b) => g.Add(a, b));
  return g.Add(value, g.Mul(sum, 0));
}

/** Gradients of a branch by captured value; cotangents have the shapes of this branch's outputs. */
function throughBranch(
  request: Omit<BackwardRequest, 'loss'>,
  g: GraphBuilder,
  branch: GraphProto,
  seeds: ReadonlyMap<string, Value>,
  captured: readonly Value[],
): ReadonlyMap<string, Value> {
  const shaped = [...seeds].map(
    ([name, dy]) => [name, { ...dy, shape: request.types.get(name)?.shape ?? dy.shape }] as const,
  );
  const wrt = captured.map(({ name }) => name);
  return runSync(propagate({ ...request, g, nodes: branch.node ?? [], wrt }, new Map(shaped)));
}

function graphContext(
  { nodes, given, without }: Pick<BackwardRequest, 'nodes' | 'given' | 'without'>,
  value: (name: string) => Value,
  cotangents: ReadonlyMap<string, Value>,
): GraphContext {
  const { producer, readers } = indexNodes(nodes);
  const givenBy = [...(given?.values() ?? [])].flatMap((each) => each.map(({ by }) => by.name));
  const fromElsewhere = new Set([...cotangents.keys(), ...givenBy]);
  return {
    takes: (shortcut) => !without?.has(shortcut),
    producer: (name) => producer.get(name),
    readers: (name) => readers.get(name) ?? [],
    onlyReader: (name) => {
      const [reader, another] = readers.get(name) ?? [];
      const isReadOnce = !another && reader?.input?.filter((each) => each === name).length === 1;
      return isReadOnce && !fromElsewhere.has(name) ? reader : undefined;
    },
    value,
    cotangent: (name) => cotangents.get(name),
  };
}

function vjpOf(node: NodeProto, index: number, request: Place): Vjp | null {
  const rule = ruleOf(node);
  const vjp = typeof rule === 'function' ? rule : rule?.[index];
  if (vjp === undefined) throw noRule(node, rule ? ` input ${index}` : '', request);
  return vjp;
}

type Place = Pick<BackwardRequest, 'g' | 'describe'>;

function noRule(node: NodeProto, part: string, { g, describe }: Place): OnnxLoraError {
  const where = describe?.(node);
  const isLoop = isKnownDomain(node) && (node.opType === 'Loop' || node.opType === 'Scan');
  const remedy = isLoop
    ? 'Gradients do not pass loops: export the model with a fixed number of rounds, so that they stand in the graph one after ' +
      'the other (tracing does that to a loop of Python), or adapt only layers after it.'
    : 'Adapt only layers after it, or bring a rule in a plugin: definePlugin({ operators: [{ domain, op, gradient }] }).';
  return new OnnxLoraError(
    'NO_GRADIENT',
    `No gradient rule for ${operatorName(node.domain, node.opType)}${part} (node "${node.name}"${where ? `, ${where}` : ''}, opset ${g.opset}), ` +
      `which lies between an adapted layer and the loss. ${remedy}`,
  );
}

/** Adds the module to a rule's error about an unsupported form. */
function located(node: NodeProto, { describe }: Place, rule: () => Value): Value {
  try {
    return rule();
  } catch (error) {
    const where = error instanceof OnnxLoraError && error.code === 'NO_GRADIENT' ? describe?.(node) : undefined;
    if (!where) throw error;
    const { message } = error as OnnxLoraError;
    throw new OnnxLoraError('NO_GRADIENT', `${message} The node is in ${where}.`, { cause: error });
  }
}

/** Sums a cotangent to the shape of a broadcast operand. */
function unbroadcast(g: GraphBuilder, gradient: Value, operand: Value, node: NodeProto): Value {
  const [from, to] = [gradient.shape, operand.shape];
  if (!from || !to) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The gradient of ${node.opType} "${node.name}" needs the shape of "${operand.name}", which the graph does not tell.`,
    );
  }
  const extra = from.length - to.length;
  const leading = Array.from({ length: extra }, (_, i) => i);
  const inner = to.flatMap((dim, i) => (dim === 1 && from[i + extra] !== 1 ? [i + extra] : []));
  const differs = to.some(
    (dim, i) => dim !== 1 && from[i + extra] !== dim && typeof dim === 'number' && typeof from[i + extra] === 'number',
  );
  if (extra < 0 || differs) {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `Rule author: the gradient of ${node.opType} "${node.name}" has shape ${formatShape(from)} for an input of ${formatShape(to)}.`,
    );
  }
  if (leading.length === 0) return inner.length === 0 ? gradient : g.ReduceSum(gradient, inner, true);
  if (inner.length === 0) return g.ReduceSum(gradient, leading, false);
  return g.Squeeze(g.ReduceSum(gradient, [...leading, ...inner], true), leading);
}

/**
 * Splits the emitted nodes by when the runtime should run them. ONNX Runtime runs a graph depth first from its last
 * leaf, and takes a node's highest-numbered input first. So parameter gradients (leaves) come last, in forward order:
 * the last layer's run first, once their cotangent is there, and free it. Derivatives of forward values alone precede
 * the chain: after it they would run in the forward pass and keep their tensors alive.
 */
function arrange(
  nodes: readonly NodeProto[],
  seed: string,
  gradients: ReadonlyMap<string, Value>,
): { recompute: NodeProto[]; chain: NodeProto[]; leaves: NodeProto[] } {
  const onChain = new Set([seed]);
  const read = new Set<string>();
  for (const node of nodes) {
    const reads = readNames(node);
    if (reads.some((name) => onChain.has(name))) for (const name of node.output!) onChain.add(name);
    for (const name of reads) read.add(name);
  }
  const results = new Set([...gradients.values()].map(({ name }) => name));
  const isLeaf = (node: NodeProto): boolean => node.output!.every((name) => results.has(name) && !read.has(name));
  const isChain = (node: NodeProto): boolean => node.output!.some((name) => onChain.has(name));
  const inner = nodes.filter((node) => !isLeaf(node));
  return {
    recompute: inner.filter((node) => !isChain(node)),
    chain: inner.filter(isChain),
    // The walk meets the last layer first; reverse it into forward order.
    leaves: nodes.filter(isLeaf).reverse(),
  };
}
