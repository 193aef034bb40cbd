/** @file The forward part of a training graph as its rewrites see it: nodes in order, types, constants. */

import { GraphBuilder } from '../../graph/builder.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { indexGraph, readNames } from '../../graph/walk.ts';
import { inferNode } from '../../ops/infer.ts';
import { bytesPerElement, sizeOf } from '../../runtime/tensor.ts';

const FLOAT = 1;

/** What a rewrite works on. Rewrites replace `nodes` and add to `types` and `g`. */
export interface ForwardGraph {
  /** Each after those that it reads from. */
  nodes: readonly NodeProto[];
  readonly types: Map<string, ValueType>;
  /** Initializers, and the tensors of Constant nodes, by value name. */
  readonly constants: ReadonlyMap<string, TensorProto>;
  /** Values that must keep their names. */
  readonly outputs: ReadonlySet<string>;
  /** What gradients may flow into: trained values, and what is computed from them. */
  readonly trained: ReadonlySet<string>;
  /** Makes the new nodes; its initializers belong to the graph. */
  readonly g: GraphBuilder;
}

/** What {@link forwardGraph} is made of. */
interface Parts extends Pick<ForwardGraph, 'nodes' | 'types'> {
  readonly initializers: readonly TensorProto[];
  readonly outputs: readonly string[];
  /** Values that are trained; none by default. */
  readonly wrt?: readonly string[];
  readonly opset: number;
}

/** A forward graph with a builder of its own. */
export function forwardGraph({ nodes, types, initializers, outputs, opset, wrt = [] }: Parts): ForwardGraph {
  const trained = new Set(wrt);
  for (const node of nodes)
    if (readNames(node).some((name) => trained.has(name))) for (const name of node.output ?? []) trained.add(name);
  const { constants } = indexGraph({ node: [...nodes], initializer: [...initializers] });
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'forward/' });
  return { nodes, types, constants, outputs: new Set(outputs), trained, g };
}

/** The nodes that `emit` makes, taken out of the builder to be placed; their types become known. */
export function emitted({ g, types }: ForwardGraph, emit: (g: GraphBuilder) => void): NodeProto[] {
  const start = g.nodes.length;
  emit(g);
  for (const [name, type] of g.types) if (!types.has(name)) types.set(name, type);
  return g.nodes.splice(start);
}

/** The number that a constant float tensor with one element holds; undefined for anything else. */
export function constantNumber({ constants, types }: ForwardGraph, name: string): number | undefined {
  const tensor = constants.get(name);
  const shape = types.get(name)?.shape ?? tensor?.dims ?? [];
  if (!tensor || shape.some((dim) => dim !== 1)) return undefined;
  return tensor.dataType === FLOAT ? readFloats(tensor)[0] : undefined;
}

/** A value of known shape. */
export interface SizedValue {
  /** Its shape. */
  readonly dims: readonly number[];
  /** Bytes of one number. */
  readonly bytes: number;
}

/** Those of these values that have a known shape. */
export function sizedValues(names: readonly string[], types: ReadonlyMap<string, ValueType>): SizedValue[] {
  return names.flatMap((name) => {
    const { type, shape } = types.get(name) ?? {};
    return type && isStatic(shape) ? [{ dims: shape, bytes: bytesPerElement(type) }] : [];
  });
}

/** Bytes of values together. */
export function bytesOfAll(values: readonly SizedValue[]): number {
  return values.reduce((sum, { dims, bytes }) => sum + sizeOf(dims) * bytes, 0);
}

/** Bytes of a value of known shape; 0 for others. */
export function bytesOf(value: ValueType | undefined): number {
  return value?.type && isStatic(value.shape) ? sizeOf(value.shape) * bytesPerElement(value.type) : 0;
}
