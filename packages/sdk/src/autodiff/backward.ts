/**
 * @file Reverse-mode differentiation, graph to graph: walks the forward nodes backwards, asks the table for each input's
 * cotangent, undoes broadcasting, adds up, and puts the emitted nodes into the order that saves memory.
 */

import { OnnxLoraError } from '../errors.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { NodeProto } from '../graph/proto.ts';
import { formatShape, isStatic, type ValueType } from '../graph/value.ts';
import { intAttribute, readNames, subgraphs } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { type DifferentiableOp, gradientRules, manyOutputOps, stopGradientOps } from './rules.ts';
import type { Surroundings, Vjp } from './vjp.ts';

/** What to differentiate. */
export interface BackwardRequest {
  /** Emits the gradient nodes; its opset must be the graph's. */
  readonly g: GraphBuilder;
  /** Forward nodes up to the loss, each after the nodes that it reads from. */
  readonly nodes: readonly NodeProto[];
  /** Types of all values that the forward nodes mention. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** A float scalar. */
  readonly loss: string;
  /** Values to differentiate by. */
  readonly wrt: readonly string[];
  /** Values that gradients do not pass. */
  readonly stopped: ReadonlySet<string>;
  /** Says where a node comes from, for errors: `module "vit.layers.0.mlp"`. */
  readonly describe?: (node: NodeProto) => string;
}

/** The emitted gradient nodes, in three parts that must follow the forward nodes in this order. */
export interface Backward {
  /** Gradient by name of the value differentiated by; absent where the loss does not depend on it. */
  readonly gradients: ReadonlyMap<string, Value>;
  /** Nodes that depend on forward values alone, such as the derivative of GELU. */
  readonly recompute: readonly NodeProto[];
  /** The chain of cotangents from the loss down. */
  readonly chain: readonly NodeProto[];
  /** The last products, which only yield parameter gradients, in forward order of the parameters. */
  readonly leaves: readonly NodeProto[];
}

/**
 * Emits the gradients of `loss` with respect to `wrt`.
 *
 * @throws OnnxLoraError `NO_GRADIENT` naming the node, for an operator without a rule on the path
 */
export function differentiate(request: BackwardRequest): Backward {
  const { g, nodes, types, loss } = request;
  const active = activeValues(request);
  const seed = g.scalar(1, types.get(loss)?.type);
  const cotangents = new Map<string, Value>([[loss, seed]]);
  const value = (name: string): Value => ({ name, ...types.get(name) });
  const around = surroundings(nodes, value, cotangents);

  for (const node of [...nodes].reverse()) {
    const outputs = node.output ?? [];
    const dys = outputs.map((name) => cotangents.get(name));
    const dy = dys.find((each) => each !== undefined);
    if (!dy || !outputs.some((name) => active.has(name))) continue;
    const x = (node.input ?? []).map((name) => (name ? value(name) : undefined));
    const site = { g, node, x, y: outputs.map(value), dy: dys[0] ?? dy, dys, around };
    if (captures(node, active)) throw noRule(node, '', request);
    const second = dys.findIndex((each, i) => i > 0 && each !== undefined);
    if (second > 0 && !manyOutputOps.has(node.opType ?? '')) throw noRule(node, ` output ${second}`, request);
    x.forEach((operand, i) => {
      if (!operand || !active.has(operand.name)) return;
      const vjp = vjpOf(node, i, request);
      if (!vjp) return;
      const gradient = unbroadcast(g, vjp(site, i), operand, node);
      const before = cotangents.get(operand.name);
      cotangents.set(operand.name, before ? accumulate(g, before, gradient, value) : gradient);
    });
  }
  const gradients = new Map(
    request.wrt.flatMap((name) => (cotangents.has(name) ? [[name, cotangents.get(name)!] as const] : [])),
  );
  return { gradients, ...arrange(g.nodes, seed.name, gradients) };
}

function surroundings(
  nodes: readonly NodeProto[],
  value: (name: string) => Value,
  cotangents: ReadonlyMap<string, Value>,
): Surroundings {
  const producers = new Map<string, NodeProto>();
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const name of node.output ?? []) producers.set(name, node);
    for (const name of new Set(readNames(node))) readers.set(name, [...(readers.get(name) ?? []), node]);
  }
  return {
    producer: (name) => producers.get(name),
    readers: (name) => readers.get(name) ?? [],
    value,
    cotangent: (name) => cotangents.get(name),
  };
}

/** Below this many summands the runtime computes a Gemm with an addend on one thread only. */
const SHORT_PRODUCT = 64;

/**
 * The sum of two cotangents of one value. Where the second is a product that was just emitted, the first becomes the
 * product's addend: Gemm adds while it writes, which spares a pass over memory.
 */
function accumulate(g: GraphBuilder, before: Value, gradient: Value, forward: (name: string) => Value): Value {
  const valueOf = (name: string): ValueType => g.types.get(name) ?? forward(name);
  const reshape = g.nodes.at(-1);
  const gemm = reshape?.opType === 'Reshape' ? g.nodes.at(-2) : reshape;
  const isProduct = gemm?.opType === 'Gemm' && gemm.input?.length === 2 && reshape?.output?.[0] === gradient.name;
  const rows = g.types.get(gemm?.output?.[0] ?? '')?.shape;
  const feedsReshape = gemm === reshape || reshape?.input?.[0] === gemm?.output?.[0];
  const summands = gemm && valueOf(gemm.input?.[0] ?? '').shape?.[intAttribute(gemm, 'transA', 0) ? 0 : 1];
  const isShort = typeof summands !== 'number' || summands < SHORT_PRODUCT;
  if (!isProduct || isShort || !feedsReshape || !isStatic(rows) || before.shape?.join() !== gradient.shape?.join())
    return g.Add(before, gradient);
  g.nodes.splice(g.nodes.indexOf(gemm));
  const addend = gemm === reshape ? before : g.Reshape(before, rows);
  gemm.input = [...gemm.input!, addend.name];
  g.nodes.push(gemm);
  if (gemm !== reshape) g.nodes.push(reshape!);
  return gradient;
}

/** Values that a gradient can flow into: everything computed from `wrt` through differentiable inputs. */
function activeValues({ nodes, types, wrt, stopped }: BackwardRequest): Set<string> {
  const active = new Set(wrt);
  for (const node of nodes) {
    if (isKnownDomain(node) && stopGradientOps.has(node.opType ?? '')) continue;
    const rule = ruleOf(node);
    const reads = (node.input ?? []).some((name, i) => active.has(name) && !(Array.isArray(rule) && rule[i] === null));
    if (!reads && !captures(node, active)) continue;
    for (const name of node.output ?? []) {
      if (name && !stopped.has(name) && isFloat(types.get(name)?.type)) active.add(name);
    }
  }
  return active;
}

/** Whether a branch or a loop body inside the node reads an active value. */
function captures(node: NodeProto, active: ReadonlySet<string>): boolean {
  return subgraphs(node).length > 0 && readNames(node).some((name) => active.has(name));
}

function isFloat(type: ValueType['type']): boolean {
  return type === undefined || type === 'float32' || type === 'float16' || type === 'float64' || type === 'bfloat16';
}

function ruleOf(node: NodeProto): (typeof gradientRules)[DifferentiableOp] | undefined {
  const { opType: op = '' } = node;
  return isKnownDomain(node) && Object.hasOwn(gradientRules, op) ? gradientRules[op as DifferentiableOp] : undefined;
}

function vjpOf(node: NodeProto, index: number, request: BackwardRequest): Vjp | null {
  const rule = ruleOf(node);
  const vjp = typeof rule === 'function' ? rule : rule?.[index];
  if (vjp === undefined) throw noRule(node, rule ? ` input ${index}` : '', request);
  return vjp;
}

function noRule(node: NodeProto, part: string, { g, describe }: BackwardRequest): OnnxLoraError {
  const where = describe?.(node);
  return new OnnxLoraError(
    'NO_GRADIENT',
    `No gradient rule for ${node.opType}${part} (node "${node.name}"${where ? `, ${where}` : ''}, opset ${g.opset}), ` +
      'which lies between an adapted layer and the loss. Adapt only layers after it, or add a rule: CONTRIBUTING.md, "Add a gradient".',
  );
}

/** Sums a cotangent down to the shape of the operand that was broadcast. */
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
 * Splits the emitted nodes by when the runtime should run them.
 *
 * ONNX Runtime runs a graph by a depth-first search from its last leaf, and of a node's inputs the one with the highest
 * position first. So parameter gradients (leaves) stand last, in forward order: the last layer's run first, as soon as
 * their cotangent is there, and free it. Derivatives that need forward values only stand before the chain: placed later
 * they would run during the forward pass and keep their tensors alive.
 */
function arrange(
  nodes: readonly NodeProto[],
  seed: string,
  gradients: ReadonlyMap<string, Value>,
): { recompute: NodeProto[]; chain: NodeProto[]; leaves: NodeProto[] } {
  const onChain = new Set([seed]);
  const read = new Set<string>();
  for (const node of nodes) {
    if (node.input!.some((name) => onChain.has(name))) for (const name of node.output!) onChain.add(name);
    for (const name of node.input!) read.add(name);
  }
  const results = new Set([...gradients.values()].map(({ name }) => name));
  const isLeaf = (node: NodeProto): boolean => node.output!.every((name) => results.has(name) && !read.has(name));
  const isChain = (node: NodeProto): boolean => node.output!.some((name) => onChain.has(name));
  const inner = nodes.filter((node) => !isLeaf(node));
  return {
    recompute: inner.filter((node) => !isChain(node)),
    chain: inner.filter(isChain),
    // The walk met the last layer first; forward order is the reverse.
    leaves: nodes.filter(isLeaf).reverse(),
  };
}
