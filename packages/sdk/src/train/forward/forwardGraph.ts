/** @file The forward part of a training graph for rewrites: sorted nodes, types, constants. */

import { GraphBuilder } from '../../graph/builder.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { indexGraph, readNames } from '../../graph/walk.ts';
import { inferNode } from '../../ops/infer.ts';
import { bytesPerElement, sizeOf } from '../../runtime/tensor.ts';

const FLOAT = 1;

/** The object of a rewrite, which replaces `nodes` and adds to `types` and `g`. */
export interface ForwardGraph {
  /** Topologically sorted. */
  nodes: readonly NodeProto[];
  readonly types: Map<string, ValueType>;
  /** Initializers and tensors of Constant nodes, by value name. */
  readonly constants: ReadonlyMap<string, TensorProto>;
  /** Values that must keep their names. */
  readonly outputs: ReadonlySet<string>;
  /** Trained values and all that depend on them. */
  readonly trained: ReadonlySet<string>;
  /** Builds the new nodes; its initializers belong to the graph. */
  readonly g: GraphBuilder;
}

/** Arguments of {@link forwardGraph}. */
interface Parts extends Pick<ForwardGraph, 'nodes' | 'types'> {
  readonly initializers: readonly TensorProto[];
  readonly outputs: readonly string[];
  /** Trained values; none by default. */
  readonly wrt?: readonly string[];
  readonly opset: number;
}

/** A forward graph with its own builder. */
export function forwardGraph({ nodes, types, initializers, outputs, opset, wrt = [] }: Parts): ForwardGraph {
  const trained = new Set(wrt);
  for (const node of nodes)
    if (readNames(node).some((name) => trained.has(name))) for (const name of node.output ?? []) trained.add(name);
  const { constants } = indexGraph({ node: [...nodes], initializer: [...initializers] });
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'forward/' });
  return { nodes, types, constants, outputs: new Set(outputs), trained, g };
}

/** Takes the nodes built by `emit` out of the builder, and notes their types. */
export function emitted({ g, types }: ForwardGraph, emit: (g: GraphBuilder) => void): NodeProto[] {
  const start = g.nodes.length;
  emit(g);
  for (const [name, type] of g.types) if (!types.has(name)) types.set(name, type);
  return g.nodes.splice(start);
}

/** The value of a constant float tensor with one element; otherwise undefined. */
export function constantNumber({ constants, types }: ForwardGraph, name: string): number | undefined {
  const tensor = constants.get(name);
  const shape = types.get(name)?.shape ?? tensor?.dims ?? [];
  if (!tensor || shape.some((dim) => dim !== 1)) return undefined;
  return tensor.dataType === FLOAT ? readFloats(tensor)[0] : undefined;
}

/** Size of a value of known shape. */
export interface SizedValue {
  /** Shape. */
  readonly dims: readonly number[];
  /** Bytes per element. */
  readonly bytes: number;
}

/** Sizes of the values with known shape. */
export function sizedValues(names: readonly string[], types: ReadonlyMap<string, ValueType>): SizedValue[] {
  return names.flatMap((name) => {
    const { type, shape } = types.get(name) ?? {};
    return type && isStatic(shape) ? [{ dims: shape, bytes: bytesPerElement(type) }] : [];
  });
}

export function bytesOfAll(values: readonly SizedValue[]): number {
  return values.reduce((sum, { dims, bytes }) => sum + sizeOf(dims) * bytes, 0);
}

/** Bytes of a value of known shape; 0 for others. */
export function bytesOf(value: ValueType | undefined): number {
  return value?.type && isStatic(value.shape) ? sizeOf(value.shape) * bytesPerElement(value.type) : 0;
}
